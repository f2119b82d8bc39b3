//! The JSON Schema of the document, made from its types.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::document::{Document, FleetDocument, PlanDocument};
use crate::units::{Bytes, CpuSet, NodeId, PciAddress, Pid};
use crate::words::{Vocabulary, Word};

/// The JSON Schema (draft 2020-12) of what this version of the program writes.
pub(crate) fn schema() -> Value {
    of::<Document>()
}

/// The same of the document of `fleet`.
pub(crate) fn fleet_schema() -> Value {
    of::<FleetDocument>()
}

/// The same of a plan.
pub(crate) fn plan_schema() -> Value {
    of::<PlanDocument>()
}

fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

impl<T: Vocabulary> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = T::WORDS.iter();
        let mut any: Vec<Value> = words
            .map(|(_, word, meaning)| json!({"const": word, "description": meaning.trim()}))
            .collect();
        any.push(json!({"type": "string", "description": "A word of another version."}));
        json_schema!({ "anyOf": any })
    }
}

macro_rules! schema_of_unit {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema_of_unit!(Pid, {"type": "integer", "minimum": 0, "maximum": 4_294_967_295u32});
schema_of_unit!(NodeId, {"type": "integer", "minimum": 0, "maximum": 4_294_967_295u32});
schema_of_unit!(Bytes, {"type": "integer", "minimum": 0});
schema_of_unit!(CpuSet, {"type": "string", "pattern": "^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$"});
schema_of_unit!(PciAddress, {"type": "string", "pattern": "^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]$"});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_described() {
        fn described(name: &str, schema: &Value) {
            for (field, schema) in schema["properties"].as_object().unwrap() {
                assert!(schema["description"].is_string(), "{name}.{field}");
            }
        }
        for schema in [schema(), fleet_schema()] {
            described("document", &schema);
            for (name, of) in schema["$defs"].as_object().unwrap() {
                if of.get("properties").is_some() {
                    described(name, of);
                }
            }
        }
    }
}
