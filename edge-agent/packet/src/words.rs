//! JSON Schema of the engine's word lists, which know nothing of schemas themselves.

use std::borrow::Cow;

use passage::{AbsentReason, Direction, PassageState, Verdict};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Declares a schema for an enum of words; does not compile when a word is missing.
macro_rules! word_schema {
    ($name:ident, $of:ident, $description:literal, [$($variant:ident),+ $(,)?]) => {
        pub(crate) struct $name;

        const _: fn($of) = |word| match word { $($of::$variant)|+ => () };

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($of).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "description": $description, "enum": [$($of::$variant),+]
                })
            }
        }
    };
}

word_schema!(
    DirectionWord,
    Direction,
    "Which way the lane is driven: into the country or out of it.",
    [In, Out]
);
word_schema!(VerdictWord, Verdict, "What is to be done with the vehicle.", [Release, Inspect, Hold]);
word_schema!(
    AbsentReasonWord,
    AbsentReason,
    "Why there is no value: the lane has no sensor for it; the sensor was offline; it gave nothing in time; it saw \
     the vehicle and could not read it; not for this recipient.",
    [NotFitted, Offline, Timeout, Unreadable, Withheld]
);
word_schema!(
    PassageStateWord,
    PassageState,
    "State of the passage.",
    [
        Approaching,
        Identified,
        Collecting,
        Sealed,
        AwaitingDecision,
        Released,
        Referred,
        Refused,
        Departing,
        Closed,
        Abandoned,
        Expired,
        Manual,
        Interrupted,
        Unmatched
    ]
);
