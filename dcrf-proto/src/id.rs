//! Identities: request ids on the wire, keys of the caller's requests and subscriptions, epochs of
//! connections, and the seeded generator that ids and jitter come from.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rustc_hash::FxBuildHasher;
use serde::{Serialize, Serializer};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

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
    pub ReplyStreamKey
}

key! {
    /// A listener of [`Session::listen`](crate::Session::listen).
    pub ListenerKey
}

key! {
    /// A subscription on the wire, which any number of the caller's share.
    pub(crate) UpstreamKey
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
index!(ReplyStreamKey);
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Repr);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Repr {
    /// A string that is a lower-case hyphenated UUID: no allocation, and a short comparison. By its halves, since a
    /// `Uuid` would stand behind the tag at an odd address, where moving it is slow.
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

    /// An id as the session makes them, a lower-case hyphenated UUID.
    pub(crate) fn from_uuid(text: &str) -> Option<Self> {
        uuid(text).map(Repr::from).map(Self)
    }

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
            Repr::Uuid(..) | Repr::Text(_) => self.to_string().into(),
        }
    }
}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            // A half of it is random enough.
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
    let is_canonical =
        text.len() == Hyphenated::LENGTH && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_canonical { Uuid::try_parse(text).ok() } else { None }
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
    /// Writes it as JSON.
    pub(crate) fn push_json(&self, json: &mut String) {
        match &self.0 {
            Repr::Uuid(high, low) => {
                let uuid = Uuid::from_u64_pair(*high, *low);
                let mut buffer = Uuid::encode_buffer();
                json.push('"');
                json.push_str(uuid.as_hyphenated().encode_lower(&mut buffer));
                json.push('"');
            }
            // A string has a form in JSON whatever it says.
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

/// A map by what is ours: ids and keys of our own calls. Its hasher is the same in every process, and so is what a
/// session does. A server can't choose what is inserted, and so no keys that collide.
pub(crate) type OwnMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// A map by request id.
pub(crate) type IdMap<V> = OwnMap<RequestId, V>;

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

    /// The halves of a new UUID v4.
    fn uuid(&mut self) -> (u64, u64) {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().as_u64_pair()
    }

    /// A number drawn evenly from 0 (included) to 1 (not included).
    pub(crate) fn unit(&mut self) -> f64 {
        // The upper 53 bits: as many as an f64 holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r8_any_id_is_sent_as_it_was_given() {
        let uuid = "0189abcd-ef01-4234-8567-89abcdef0123";
        assert!(matches!(RequestId::from(uuid).0, Repr::Uuid(..)));
        for at in 0..uuid.len() {
            for letter in 0..=0x7f {
                let mut text = uuid.to_owned();
                text.replace_range(at..=at, char::from(letter).encode_utf8(&mut [0; 4]));
                let id = RequestId::from(text.as_str());
                assert_eq!(id.to_string(), text);
                let is_ours = Uuid::try_parse(&text).is_ok() && !letter.is_ascii_uppercase();
                assert_eq!(matches!(id.0, Repr::Uuid(..)), is_ours, "{text}");
            }
        }
    }
}
