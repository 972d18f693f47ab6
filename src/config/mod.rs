//! (stub: not written yet)
