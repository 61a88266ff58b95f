//! Random calls of `tools`.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::generate::object;
use crate::values::{anything, pick};

/// A call, and its action if that is detached.
pub(crate) fn call(rng: &mut Rng) -> (Map<String, Value>, Option<&'static str>) {
    let payload = match rng.u8(..15) {
        0..3 => {
            let action = pick(rng, &["echo", "echo_sync"]);
            json!({"action": action, "text": anything(rng), "data": anything(rng), "é": [anything(rng)]})
        }
        3 => json!({"action": "slow", "seconds": pick(rng, &[json!(0), json!(0.01), json!(-1)])}),
        4 => json!({"action": "slow_inline", "seconds": pick(rng, &[json!(0), json!(0.01)])}),
        5 => json!({"action": "mute", "anything": anything(rng)}),
        6 | 7 => {
            json!({"action": "fail", "kind": pick(rng, &["dict", "list", "str", "404", "403"])})
        }
        8 | 9 => json!({"action": "status", "code": anything(rng), "data": anything(rng)}),
        10 => json!({"action": "status", "code": rng.u16(100..600)}),
        11 => json!({"action": "push", "count": rng.u8(..5)}),
        12 => json!({"action": "slow"}),
        13 => json!({"action": "big", "size": rng.u16(..2000)}),
        _ => json!({"action": "whoami"}),
    };
    // Without `seconds` it raises, and never replies.
    let is_slow = payload["action"] == "slow" && payload.get("seconds").is_some();
    (object(payload), is_slow.then_some("slow"))
}
