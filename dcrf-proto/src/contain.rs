//! Contains panics of the program's code that this crate calls: wakers, `tracing` subscribers, and functions over rows.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls code of the program. A panic there is reported by the panic hook, and goes no further: it could end a driver
/// that others use, or abort the process if it met another panic.
pub(crate) fn contain<T>(call: impl FnOnce() -> T) -> Option<T> {
    let panic = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => return Some(value),
        Err(panic) => panic,
    };
    // The value of a panic is the program's too.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(another);
    }
    None
}
