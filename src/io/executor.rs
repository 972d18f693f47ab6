//! The runtime's executors: one pinned thread each. The only file that names glommio's builder.
//!
//! Runs on:  main thread (start), then each executor's own.
//!
//! `io_memory(0)` because 30 MiB would be pinned per executor otherwise; the preempt timer stays
//! at its default because a shorter one can hang the executor (`shared/stack.md` §1).

/// Lets other tasks of this executor run.
pub async fn yield_now() {
    glommio::executor().yield_task_queue_now().await;
}
