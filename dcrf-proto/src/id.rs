//! Request ids, keys of requests and subscriptions, epochs of connections, and the random generator for ids and jitter.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rustc_hash::FxBuildHasher;
use serde::{Serialize, Serializer};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// Identifies a connection of a session. Each dial begins a new epoch; input for an earlier one is ignored.
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
    /// The key of a request, from [`Session::request`](crate::Session::request).
    pub RequestKey
}

key! {
    /// The key of a subscription, from [`Session::subscribe`](crate::Session::subscribe).
    pub SubscriptionKey
}

key! {
    /// The key of a reply stream, from [`Session::stream`](crate::Session::stream).
    pub ReplyStreamKey
}

key! {
    /// The key of a listener, from [`Session::listen`](crate::Session::listen).
    pub ListenerKey
}

key! {
    /// The key of an upstream subscription, which subscribers share.
    pub(crate) UpstreamKey
}

key! {
    /// The key of a collection, from [`Session::collect`](crate::Session::collect).
    pub CollectionKey
}

key! {
    /// The key of the local copy of a collection, which handles share.
    pub(crate) ReplicaKey
}

key! {
    /// The key of a reader of a store.
    pub(crate) ReaderKey
}

/// Makes the index of a key public.
macro_rules! index {
    ($name:ident) => {
        impl $name {
            /// A small number, for a table of your own. Indices are dense and start at 0. They are reused after the
            /// key becomes invalid.
            pub fn index(self) -> usize {
                self.index as usize
            }
        }
    };
}

index!(RequestKey);
index!(SubscriptionKey);
index!(ReplyStreamKey);
index!(ListenerKey);
index!(CollectionKey);

/// The `request_id` of a request or a subscription: a string or an integer.
///
/// The server echoes it unchanged; `77` and `"77"` are different ids. By default, ids are random UUIDs (v4,
/// hyphenated).
///
/// ```
/// use dcrf_proto::RequestId;
///
/// assert_ne!(RequestId::from(77), RequestId::from("77"));
/// assert_eq!(RequestId::from("a-1").to_string(), "a-1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Repr);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Repr {
    /// A lower-case hyphenated UUID, without an allocation. Two halves instead of a `Uuid`, which has an alignment of 1
    /// and is slow to copy from behind the tag.
    Uuid(u64, u64),
    Text(Box<str>),
    Number(i64),
}

impl From<Uuid> for Repr {
    fn from(uuid: Uuid) -> Self {
        let (high, low) = uuid.as_u64_pair();
        Self::Uuid(high, low)
    }
}

impl RequestId {
    pub(crate) fn random(random: &mut Random) -> Self {
        let (high, low) = random.uuid();
        Self(Repr::Uuid(high, low))
    }

    /// Parses an id in the form of generated ones: a lower-case hyphenated UUID.
    pub(crate) fn from_uuid(text: &str) -> Option<Self> {
        uuid(text).map(Repr::from).map(Self)
    }

    /// The id as a JSON value.
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
            Repr::Uuid(..) | Repr::Text(_) => self.to_string().into(),
        }
    }
}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            // Half of a v4 UUID has enough entropy.
            Repr::Uuid(half, _) => state.write_u64(*half),
            Repr::Text(text) => text.hash(state),
            Repr::Number(number) => state.write_i64(*number),
        }
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self::from_uuid(text).unwrap_or_else(|| Self(Repr::Text(text.into())))
    }
}

/// Parses a lower-case hyphenated UUID. Other forms keep their text, because the server echoes an id as it was sent.
fn uuid(text: &str) -> Option<Uuid> {
    let bytes: &[u8; Hyphenated::LENGTH] = text.as_bytes().try_into().ok()?;
    // Without an early return, this compiles to vector instructions.
    let has_uppercase = bytes.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase());
    if has_uppercase { None } else { Uuid::try_parse_ascii(bytes).ok() }
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
            Repr::Uuid(high, low) => Uuid::from_u64_pair(*high, *low).as_hyphenated().fmt(f),
            Repr::Text(text) => text.fmt(f),
            Repr::Number(number) => number.fmt(f),
        }
    }
}

impl RequestId {
    /// Appends the id as JSON.
    pub(crate) fn push_json(&self, json: &mut String) {
        match &self.0 {
            Repr::Uuid(high, low) => {
                let uuid = Uuid::from_u64_pair(*high, *low);
                let mut buffer = Uuid::encode_buffer();
                json.push('"');
                json.push_str(uuid.as_hyphenated().encode_lower(&mut buffer));
                json.push('"');
            }
            // Serializing a string can't fail.
            Repr::Text(text) => json.push_str(&serde_json::to_string(text).unwrap_or_default()),
            // Writing to a string can't fail.
            Repr::Number(number) => _ = write!(json, "{number}"),
        }
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Number(number) => serializer.serialize_i64(*number),
            Repr::Uuid(..) | Repr::Text(_) => serializer.collect_str(self),
        }
    }
}

/// A map by ids and keys that the client chooses. The hasher has no random seed, which keeps sessions deterministic. A
/// server can't force collisions, because it doesn't choose the keys.
pub(crate) type OwnMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// A map by request id.
pub(crate) type IdMap<V> = OwnMap<RequestId, V>;

/// The 256-bit seed of a session's random generator.
///
/// The same seed and the same calls give the same ids and delays. Two sessions must not share a seed, so take it from
/// the operating system outside of tests. Generated ids are unique, not secret.
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

/// The random generator of a session.
#[derive(Debug)]
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self(Xoshiro256PlusPlus::from_seed(seed.0))
    }

    /// A new UUID v4, in two halves.
    fn uuid(&mut self) -> (u64, u64) {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().as_u64_pair()
    }

    /// A uniformly random number in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        // The upper 53 bits, which an f64 holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r8_ids_round_trip() {
        let uuid = "0189abcd-ef01-4234-8567-89abcdef0123";
        assert!(matches!(RequestId::from(uuid).0, Repr::Uuid(..)));
        for at in 0..uuid.len() {
            for letter in 0..=0x7f {
                let mut text = uuid.to_owned();
                text.replace_range(at..=at, char::from(letter).encode_utf8(&mut [0; 4]));
                let id = RequestId::from(text.as_str());
                assert_eq!(id.to_string(), text);
                let is_canonical = Uuid::try_parse(&text).is_ok() && !letter.is_ascii_uppercase();
                assert_eq!(matches!(id.0, Repr::Uuid(..)), is_canonical, "{text}");
            }
        }
    }
}
