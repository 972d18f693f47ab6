//! Members of a catalog's object, kept as the venue sent them.
//!
//! Runs on:  the control core (pure).
//! Bounds:   `MEMBER_BYTES_MAX` of a value, `MEMBERS_BYTES_MAX` of all members of an object.
use sonic_rs::LazyValue;

/// Longest value that is kept: descriptions and rules are longer.
const MEMBER_BYTES_MAX: usize = 256;
/// Most bytes of all members of one object.
const MEMBERS_BYTES_MAX: usize = 2_048;

/// Appends `"name":value` if it fits and is not null. `name` needs no escapes.
pub(super) fn push_member(members: &mut String, name: &str, value: &LazyValue<'_>) {
    let text = value.as_raw_str();
    let fits = text.len() <= MEMBER_BYTES_MAX
        && members.len() + name.len() + text.len() + 4 <= MEMBERS_BYTES_MAX;
    if !fits || text == "null" {
        return;
    }
    if !members.is_empty() {
        members.push(',');
    }
    members.extend(["\"", name, "\":", text]);
}

#[cfg(test)]
mod tests;
