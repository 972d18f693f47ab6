# Two virtual cores: one shard with core 1 for itself, everything else on core 0.
about=two virtual cores, one of them the shard's
shard_cores=1
interrupts=off_shard_cores
governor=performance
idle_latency_max_us=10
halt_poll_us=200
transparent_huge_pages=madvise
huge_page_defrag=madvise
compaction_proactiveness=0
swappiness=1
socket_buffer_max_kib=16384
netdev_backlog=4096
slow_start_after_idle=off
locked_memory_mib=64
open_files=65536
io_uring=on
clock_source=tsc
