//! Random JSON values, valid and invalid.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::streams::Field;

/// One of the items.
pub(crate) fn pick<T: Clone>(rng: &mut Rng, items: &[T]) -> T {
    items[rng.usize(..items.len())].clone()
}

/// Whether something happens that has this probability in percent.
pub(crate) fn chance(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(..100) < percent
}

/// A request id that Python can hash. Some are equal in Python, such as `1` and `true`.
pub(crate) fn request_id(rng: &mut Rng) -> Value {
    let number = rng.u32(..1000);
    match rng.u8(..20) {
        0..4 => format!("id {number}").into(),
        4 => json!("1"),
        5 => json!(""),
        6 => json!("é😀\u{2028}\"\\"),
        7 | 8 => json!(1),
        9 => json!(true),
        10 => json!(1.0),
        11 => json!(0),
        12 => json!(false),
        13 => json!(-1.5),
        14 => json!(9_007_199_254_740_993_u64),
        15 => json!(9_007_199_254_740_992.0),
        16 => json!(-0.0),
        17 => pick(rng, &[json!(1e17), json!(100_000_000_000_000_000_u64)]),
        _ => number.into(),
    }
}

/// A request id that is only echoed.
pub(crate) fn any_request_id(rng: &mut Rng) -> Value {
    match rng.u8(..8) {
        0 => Value::Null,
        1 => json!([1, "a", null]),
        2 => json!({"a": {"b": 1.5}}),
        _ => request_id(rng),
    }
}

/// A primary key: mostly of a row that exists or has existed.
pub(crate) fn key(rng: &mut Rng) -> Value {
    match rng.u8(..100) {
        0..65 => return rng.u8(1..4).into(),
        65..85 => return rng.u8(4..9).into(),
        _ => {}
    }
    match rng.u8(..20) {
        0 => json!("2"),
        1 => json!(" 3 "),
        2 => json!("abc"),
        3 => json!(""),
        4 => Value::Null,
        5 => json!([1]),
        6 => json!({"a": 1}),
        7 => json!(true),
        8 => json!(false),
        9 => json!(1.0),
        10 => json!(2.7),
        11 => json!("1.0"),
        12 => json!(-1),
        13 => json!(0),
        14 => json!(i64::MAX),
        15 => json!(u64::MAX),
        16 => json!("99999999999999999999999"),
        17 => json!("0_3"),
        18 => json!("+2"),
        _ => json!(99),
    }
}

pub(crate) fn uuid(rng: &mut Rng) -> Value {
    match rng.u8(..12) {
        0..3 => json!("00000000-0000-0000-0000-000000000001"),
        3 => json!("00000000-0000-0000-0000-000000000002"),
        4 => json!("00000000000000000000000000000001"),
        5 => json!("{00000000-0000-0000-0000-000000000002}"),
        6 => pick(rng, &[json!("abc"), json!(null), json!([1]), json!({}), json!(true), json!("")]),
        7 => pick(rng, &[json!(1), json!(2), json!(1.5), json!(-1), json!(99)]),
        8 => json!("urn:uuid:00000000-0000-0000-0000-000000000002"),
        _ => format!("@uuid {}", rng.u8(..6)).into(),
    }
}

pub(crate) fn slug_key(rng: &mut Rng) -> Value {
    match rng.u8(..12) {
        0 => pick(rng, &[json!(null), json!([1]), json!({}), json!(true), json!(1), json!(1.5)]),
        1 => json!("nope"),
        2 => json!(""),
        3..8 => format!("article-{}", rng.u8(1..5)).into(),
        8 | 9 => json!("new-slug"),
        _ => format!("@slug {}", rng.u8(..4)).into(),
    }
}

/// The value of a field.
pub(crate) fn field(rng: &mut Rng, field: Field) -> Value {
    // Mostly valid, or few rows would change.
    let is_valid = chance(rng, 75);
    match field {
        Field::Text { .. } if is_valid => format!("text {}", rng.u16(..)).into(),
        Field::Integer | Field::Task if is_valid => rng.u8(1..4).into(),
        Field::Boolean if is_valid => rng.bool().into(),
        Field::Slug if is_valid => format!("slug-{}", rng.u8(..)).into(),
        Field::Text { max_length } => text(rng, max_length),
        Field::Integer => integer(rng),
        Field::Boolean => boolean(rng),
        Field::Task => task(rng),
        Field::Slug => slug(rng),
    }
}

fn text(rng: &mut Rng, max_length: usize) -> Value {
    match rng.u8(..32) {
        0 => json!("  padded\t"),
        1 => json!("é😀\u{2028}\"\\\n"),
        2 => "é".repeat(max_length).into(),
        3 => "x".repeat(max_length + 1).into(),
        4 => json!(""),
        5 => json!("   "),
        6 => json!(5),
        7 => json!(1.5),
        8 => json!(true),
        9 => Value::Null,
        10 => json!(["a"]),
        11 => json!({"a": 1}),
        12 => json!("nul\u{0}"),
        13 => json!(1e22),
        14 => json!("\u{a0}\u{3000}"),
        15 => json!(u64::MAX),
        16 => format!(" {} ", "x".repeat(max_length)).into(),
        _ => format!("text {}", rng.u16(..)).into(),
    }
}

pub(crate) fn integer(rng: &mut Rng) -> Value {
    match rng.u8(..36) {
        0 => json!("7"),
        1 => json!(" 2 "),
        2 => json!("5.0"),
        3 => json!(3.0),
        4 => json!(5.5),
        5 => json!("abc"),
        6 => json!(true),
        7 => Value::Null,
        8 => json!([]),
        9 => json!({}),
        10 => json!(i64::MAX),
        11 => json!(i64::MIN),
        12 => json!(u64::MAX),
        13 => json!("-9223372036854775809"),
        14 => json!("1_000"),
        15 => json!(""),
        16 => json!("+4"),
        17 => json!("1e3"),
        18 => json!("5.00"),
        19 => json!("0x10"),
        20 => json!("007"),
        21 => json!("-0"),
        22 => json!(1e300),
        _ => rng.i8(-1..5).into(),
    }
}

fn boolean(rng: &mut Rng) -> Value {
    match rng.u8(..24) {
        0 => json!("true"),
        1 => json!("No"),
        2 => json!(" on "),
        3 => json!(1),
        4 => json!(0),
        5 => json!(1.0),
        6 => json!("maybe"),
        7 => Value::Null,
        8 => json!([]),
        9 => json!({}),
        10 => json!(""),
        11 => json!("null"),
        12 => json!(2),
        13 => json!("TRUE"),
        14 => json!("yEs"),
        15 => json!("f"),
        _ => rng.bool().into(),
    }
}

fn task(rng: &mut Rng) -> Value {
    match rng.u8(..24) {
        0..4 => Value::Null,
        4 => json!("2"),
        5 => json!(""),
        6 => json!("abc"),
        7 => json!(99),
        8 => json!(true),
        9 => json!(1.5),
        10 => json!([]),
        11 => json!({"pk": 1}),
        12 => json!(1.0),
        13 => json!(" 3 "),
        14 => json!("99"),
        15 => json!(u64::MAX),
        16 => json!(false),
        _ => rng.u8(1..8).into(),
    }
}

fn slug(rng: &mut Rng) -> Value {
    match rng.u8(..16) {
        0 => json!("article-1"),
        1 => json!("bad slug"),
        2 => json!(""),
        3 => Value::Null,
        4 => json!(5),
        5 => "x".repeat(51).into(),
        6 => json!("ünicode"),
        7 => json!(true),
        8 => json!("new-slug"),
        9 => json!(" Spaced_1 "),
        10 => json!([1]),
        11 => "y".repeat(50).into(),
        _ => format!("slug-{}", rng.u8(..)).into(),
    }
}

/// An argument that the streams ignore, or echo.
pub(crate) fn anything(rng: &mut Rng) -> Value {
    match rng.u8(..10) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!([1, [2.5, "three"], {}]),
        3 => json!({"nested": {"é": [null, false]}}),
        4 => json!(-7),
        5 => json!(0.1),
        6 => json!(u64::MAX),
        7 => json!("text \u{1F600} \u{0} \u{7f} </script>"),
        8 => json!(1e-7),
        _ => rng.u32(..).into(),
    }
}

/// `limit` and `offset`: valid, or replaced by the default. Null, lists and objects would raise.
pub(crate) fn limit(rng: &mut Rng) -> Value {
    match rng.u8(..16) {
        0 => json!("2"),
        1 => json!("abc"),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(2.7),
        5 => json!(true),
        6 => json!(""),
        7 => json!(500),
        8 => json!("1.5"),
        9 => json!(5000),
        10 => json!(false),
        11 => json!(" 4 "),
        _ => rng.u8(..12).into(),
    }
}

/// `page` and `page_size`.
pub(crate) fn page(rng: &mut Rng) -> Value {
    match rng.u8(..24) {
        0 => json!("2"),
        1 => json!("last"),
        2 => json!("abc"),
        3 => json!(0),
        4 => json!(-1),
        5 => json!(2.0),
        6 => json!(true),
        7 => Value::Null,
        8 => json!(""),
        9 => json!([2]),
        10 => json!({}),
        11 => json!(5000),
        12 => json!(" 3 "),
        13 => json!("2.0"),
        14 => json!(1.5),
        15 => json!("1_0"),
        16 => json!("+1"),
        _ => rng.u8(1..60).into(),
    }
}

pub(crate) fn cursor(rng: &mut Rng) -> Value {
    match rng.u8(..12) {
        0 => json!("abc"),
        1 => json!(""),
        2 => Value::Null,
        3 => json!(5),
        4 => json!("é"),
        5 => json!([1]),
        _ => format!("@cursor {}", rng.u8(..6)).into(),
    }
}
