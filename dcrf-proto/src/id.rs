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

/// The part of an id's second half that carries a place.
const LAST_32_BITS: u64 = 0xffff_ffff;

impl RequestId {
    pub(crate) fn random(random: &mut Random) -> Self {
        let (high, low) = random.uuid();
        Self(Repr::Uuid(high, low))
    }

    /// A new id that carries a place, so that a frame with it needs no map to find who it is for. The place is laid
    /// over other random bits of the same id, so it looks as random as any other, and 90 of its bits still are.
    pub(crate) fn random_at(place: u32, random: &mut Random) -> Self {
        let (high, low) = random.uuid();
        let carried = (high >> 32) ^ u64::from(place);
        Self(Repr::Uuid(high, (low & !LAST_32_BITS) | carried))
    }

    /// The place that it carries, if it carries one: every UUID may.
    pub(crate) fn place(&self) -> Option<u32> {
        match &self.0 {
            Repr::Uuid(high, low) => u32::try_from(((high >> 32) ^ low) & LAST_32_BITS).ok(),
            Repr::Text(_) | Repr::Number(_) => None,
        }
    }
}

impl RequestId {
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

/// Reads the one spelling of a UUID that we write ourselves: "A…" and "a…" are different ids to the server.
fn uuid(text: &str) -> Option<Uuid> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != [b'-'; 4] {
        return None;
    }
    let mut digits = [0; 32];
    digits[..8].copy_from_slice(&text[..8]);
    digits[8..12].copy_from_slice(&text[9..13]);
    digits[12..16].copy_from_slice(&text[14..18]);
    digits[16..20].copy_from_slice(&text[19..23]);
    digits[20..].copy_from_slice(&text[24..]);
    let mut uuid = 0_u128;
    for eight in digits.chunks_exact(8) {
        uuid = (uuid << 32) | u128::from(eight_digits(eight.try_into().ok()?)?);
    }
    Some(Uuid::from_u128(uuid))
}

/// Reads eight lower-case hexadecimal digits at once.
fn eight_digits(digits: [u8; 8]) -> Option<u32> {
    const ONES: u64 = u64::MAX / 255;
    let text = u64::from_be_bytes(digits);
    // A letter has bit 6, and is the ninth after the digit with its lower half.
    let letters = (text >> 6) & ONES;
    let values = (text & (ONES * 0xf)) + letters * 9;
    // What is none is written otherwise than it was, or has more than four bits.
    let letters = ((values + ONES * 6) >> 4) & ONES;
    let written = values + ONES * u64::from(b'0') + letters * 39;
    if written != text || values & (ONES * 0xf0) != 0 {
        return None;
    }
    let bytes = (values | (values >> 4)) & 0x00ff_00ff_00ff_00ff;
    let halves = (bytes | (bytes >> 8)) & 0x0000_ffff_0000_ffff;
    u32::try_from((halves | (halves >> 16)) & 0xffff_ffff).ok()
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

    const PLACES: [u32; 8] = [0, 1, 2, 255, 99_999, 0x8000_0000, u32::MAX - 1, u32::MAX];

    fn random() -> Random {
        Random::new(&Seed::from([7; 32]))
    }

    #[test]
    fn r8_an_id_that_carries_a_place_is_a_uuid_v4_like_any_other() {
        let mut random = random();
        for place in PLACES {
            let first = RequestId::random_at(place, &mut random);
            let second = RequestId::random_at(place, &mut random);
            assert_ne!(first, second);
            for id in [first, second] {
                let uuid = Uuid::try_parse(&id.to_string()).unwrap();
                assert_eq!(uuid.get_version_num(), 4, "{id}");
                assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122, "{id}");
                // As it comes back from the server.
                assert_eq!(RequestId::from(id.to_string()).place(), Some(place), "{id}");
            }
        }
        assert_eq!(RequestId::from("place-1").place(), None);
        assert_eq!(RequestId::from(1).place(), None);
    }

    #[test]
    fn r8_no_bit_of_an_id_tells_its_place() {
        let mut random = random();
        // How often each bit is set: half of the time, but for the six that say "v4".
        let mut set = [0; 128];
        for _ in 0..4096 {
            let Repr::Uuid(high, low) = RequestId::random_at(0, &mut random).0 else {
                unreachable!("it is a UUID");
            };
            let uuid = Uuid::from_u64_pair(high, low).as_u128();
            for (bit, set) in set.iter_mut().enumerate() {
                *set += usize::from(uuid >> bit & 1 == 1);
            }
        }
        let fixed = [(62, 0), (63, 4096), (76, 0), (77, 0), (78, 4096), (79, 0)];
        for (bit, set) in set.into_iter().enumerate() {
            match fixed.iter().find(|(fixed, _)| *fixed == bit) {
                Some((_, expected)) => assert_eq!(set, *expected, "bit {bit}"),
                None => assert!((1800..2300).contains(&set), "bit {bit}: {set}"),
            }
        }
    }

    #[test]
    fn r8_an_id_of_a_request_carries_a_place_by_chance_only() {
        let mut random = random();
        let is_of_a_hundred = |id: RequestId| id.place().is_some_and(|place| place < 100);
        assert!(!(0..10_000).any(|_| is_of_a_hundred(RequestId::random(&mut random))));
    }

    #[test]
    fn r8_an_id_is_sent_as_it_was_given_whatever_letter_stands_in_it() {
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
