# A developer's machine: what ringbook needs to run, and nothing that heats or drains it.
about=a developer's machine: limits and buffers only
shard_cores=none
socket_buffer_max_kib=4096
slow_start_after_idle=off
locked_memory_mib=8
open_files=65536
io_uring=on
