//! Identities: request ids on the wire, keys of the caller's requests and subscriptions, epochs of
//! connections, and the seeded generator that ids and jitter come from.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// Which connection of a session something belongs to. Each dial begins a new epoch, and input for an
/// epoch that is over is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub(crate) u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Defines a key of an [`Arena`](crate::arena::Arena).
macro_rules! key {
    ($(#[$doc:meta])* $visibility:vis $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name {
            index: u32,
            generation: u32,
        }

        impl crate::arena::Key for $name {
            fn new(index: u32, generation: u32) -> Self {
                Self { index, generation }
            }

            fn parts(self) -> (u32, u32) {
                (self.index, self.generation)
            }
        }
    };
}
key! {
    /// A request of [`Session::request`](crate::Session::request).
    pub RequestKey
}

key! {
    /// A subscription of [`Session::subscribe`](crate::Session::subscribe).
    pub SubscriptionKey
}

key! {
    /// A stream of replies of [`Session::stream`](crate::Session::stream).
    pub RepliesKey
}

key! {
    /// A listener of [`Session::listen`](crate::Session::listen).
    pub ListenerKey
}

key! {
    /// A subscription on the wire, which any number of the caller's share.
    pub(crate) WireKey
}

/// Shows the index of a key to its owner.
macro_rules! index {
    ($name:ident) => {
        impl $name {
            /// A small and dense number, from 0, for state of your own in a slab or a vector. It is used
            /// again after what this key stands for has ended.
            pub fn index(self) -> usize {
                self.index as usize
            }
        }
    };
}

index!(RequestKey);
index!(SubscriptionKey);
index!(RepliesKey);
index!(ListenerKey);

/// The `request_id` of a request or a subscription on the wire: a string or an integer, which the server
/// sends back as it was (`77` is not `"77"`).
///
/// The session makes a hyphenated UUID v4 where the caller gives none (R8).
///
/// ```
/// use dcrf_proto::RequestId;
///
/// assert_ne!(RequestId::from(77), RequestId::from("77"));
/// assert_eq!(RequestId::from("a-1").to_string(), "a-1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Repr);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Repr {
    /// A string that is a lower-case hyphenated UUID: no allocation, and a short comparison.
    Uuid(Uuid),
    Text(Box<str>),
    Number(i64),
}

impl RequestId {
    pub(crate) fn random(random: &mut Random) -> Self {
        let mut bytes = [0; 16];
        random.0.fill_bytes(&mut bytes);
        Self(Repr::Uuid(uuid::Builder::from_random_bytes(bytes).into_uuid()))
    }
}

impl RequestId {
    /// The id as it stands in a payload.
    ///
    /// ```
    /// use dcrf_proto::RequestId;
    ///
    /// assert_eq!(RequestId::from(7).to_value(), 7);
    /// assert_eq!(RequestId::from("a-1").to_value(), "a-1");
    /// ```
    pub fn to_value(&self) -> serde_json::Value {
        match &self.0 {
            Repr::Number(number) => (*number).into(),
            Repr::Uuid(_) | Repr::Text(_) => self.to_string().into(),
        }
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        // Only the one spelling that we write ourselves: "A…" and "a…" are different ids to the server.
        if text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            if let Ok(uuid) = Uuid::try_parse(text) {
                return Self(Repr::Uuid(uuid));
            }
        }
        Self(Repr::Text(text.into()))
    }
}

impl From<String> for RequestId {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<i64> for RequestId {
    fn from(number: i64) -> Self {
        Self(Repr::Number(number))
    }
}

impl From<i32> for RequestId {
    fn from(number: i32) -> Self {
        Self(Repr::Number(number.into()))
    }
}

impl From<u32> for RequestId {
    fn from(number: u32) -> Self {
        Self(Repr::Number(number.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Uuid(uuid) => uuid.as_hyphenated().fmt(f),
            Repr::Text(text) => text.fmt(f),
            Repr::Number(number) => number.fmt(f),
        }
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Uuid(uuid) => {
                let mut buffer = Uuid::encode_buffer();
                serializer.serialize_str(uuid.as_hyphenated().encode_lower(&mut buffer))
            }
            Repr::Text(text) => serializer.serialize_str(text),
            Repr::Number(number) => serializer.serialize_i64(*number),
        }
    }
}

/// A map by request id. Its hasher has a fixed key, so that a session does the same in every process;
/// only ids of our own calls are ever inserted, so a server can't choose keys that collide.
pub(crate) type IdMap<V> = HashMap<RequestId, V, BuildHasherDefault<DefaultHasher>>;

/// What a session draws its randomness from: 256 bits, given by the caller.
///
/// The same seed and the same calls give the same ids and the same delays. Two sessions must not share
/// one, so take it from the operating system outside of tests. Ids are unique, not secret.
///
/// ```
/// let seed = dcrf_proto::Seed::from([7; 32]);
/// # let _ = seed;
/// ```
#[derive(Clone)]
pub struct Seed([u8; 32]);

impl From<[u8; 32]> for Seed {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// The session's generator.
#[derive(Debug)]
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self(Xoshiro256PlusPlus::from_seed(seed.0))
    }

    /// A number drawn evenly from 0 (included) to 1 (not included).
    pub(crate) fn unit(&mut self) -> f64 {
        // The upper 53 bits: as many as an f64 holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }
}
