//! Methods that delegate to the async client.

/// Delegates setters, and methods that don't wait, to the wrapped async type.
macro_rules! forward {
    ($($(#[$doc:meta])* pub fn $name:ident(self $(, $arg:ident: $type:ty)*) -> Self;)*) => {
        $($(#[$doc])* pub fn $name(self $(, $arg: $type)*) -> Self {
            Self(self.0.$name($($arg),*))
        })*
    };
    ($($(#[$doc:meta])* pub fn $name:ident(&self $(, $arg:ident: $type:ty)*) $(-> $result:ty)?;)*) => {
        $($(#[$doc])* pub fn $name(&self $(, $arg: $type)*) $(-> $result)? {
            self.0.$name($($arg),*)
        })*
    };
}

pub(crate) use forward;
