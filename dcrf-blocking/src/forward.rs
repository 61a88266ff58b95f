//! Methods that hand over to the async type inside.

/// Writes the bodies of methods that are those of the async type inside, word for word: of setters, which return
/// `Self`, and of methods that never wait.
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
