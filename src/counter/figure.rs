//! A number that one thread writes and others read.
//!
//! Runs on:  any.
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread writes.
#[derive(Debug, Default)]
pub struct Figure(AtomicU64);

impl Figure {
    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it; the writer's alone.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds to it; the writer's alone.
    pub fn add(&self, value: u64) {
        self.set(self.get() + value);
    }
}

/// A board of figures: one thread writes them, any thread reads them as a report. The texts of a board stay, its
/// messages change; what it does not have is empty in the report.
macro_rules! board {
    (
        $(#[$meta:meta])*
        $board:ident of $report:ident {
            texts: $($text:ident),+; messages: $($message:ident),+; figures: $($figure:ident),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $board {
            $($text: String,)+
            $($message: std::sync::Mutex<String>,)+
            $(
                #[doc = concat!("See [`", stringify!($report), "::", stringify!($figure), "`].")]
                pub $figure: $crate::counter::figure::Figure,
            )+
        }

        impl $board {
            /// The figures now.
            pub fn read(&self) -> $report {
                let mut report = $report::default();
                $(report.$text.clone_from(&self.$text);)+
                $(report.$message = self.$message.lock().map(|text| text.clone()).unwrap_or_default();)+
                $(report.$figure = self.$figure.get();)+
                report
            }

            /// Sets the last error; empty for none.
            pub fn set_error(&self, text: &str) {
                if let Ok(mut error) = self.error.lock() {
                    text.clone_into(&mut error);
                }
            }
        }
    };
}
pub(super) use board;
