//! The names that stand for values in all three languages, as what Rust programs print and serialize.

/// Prints and serializes a type by the name that one of its methods gives.
macro_rules! named {
    ($($type:ty: $name:ident),+ $(,)?) => {$(
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.$name())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.$name())
            }
        }
    )+};
}

named! {
    crate::engine::Channel: as_str,
    crate::engine::CompletedBy: as_str,
    crate::engine::InputDelivery: as_str,
    crate::engine::TurnStatus: as_str,
    crate::error::ErrorKind: code,
    crate::state::StandbyState: as_str,
    crate::state::State: as_str,
}

#[cfg(test)]
mod tests {
    use crate::engine::TurnStatus;
    use crate::error::ErrorKind;

    #[test]
    fn a_value_is_shown_and_serialized_by_its_name() {
        assert_eq!(format!("{:>8}|{}", TurnStatus::Failed, ErrorKind::Auth), "  failed|auth");
        let json = serde_json::to_value((TurnStatus::RequiresApproval, ErrorKind::TurnFailed));
        assert_eq!(json.expect("text"), serde_json::json!(["requires_approval", "turn_failed"]));
    }
}
