//! ringbook compared with clients of other projects: one message file, one sender, the same work.
//!
//! [`decode`] takes frames from a file to books, without sockets; [`live`] takes them from one
//! paced sender over loopback. The programs `peers-decode` and `peers-live` print the figures.

pub mod decimal;
pub mod decode;
pub mod host;
pub mod live;
