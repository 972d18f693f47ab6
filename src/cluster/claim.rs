//! Records of the topic `slices`: the claim of an owner on a slice, and the last scan of the catalog.
//!
//! Runs on:  any (pure).
use serde::Deserialize;
use std::borrow::Cow;

/// How far the owner of a slice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimState {
    /// The broker has assigned it; its books are being opened.
    Taken,
    /// Its books are live.
    Live,
    /// The owner has left, and nobody has taken it over.
    Released,
}

impl ClaimState {
    /// As the record has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Live => "live",
            Self::Released => "released",
        }
    }
}

/// A claim. Its partition is the slice, its offset the slice's epoch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claim<'a> {
    /// The slice.
    pub slice: u8,
    /// Name of the engine.
    #[serde(borrow)]
    pub engine: Cow<'a, str>,
    /// The group of the engine: the cluster, and the rack where there are several.
    #[serde(borrow)]
    pub group: Cow<'a, str>,
    /// How far the owner is.
    pub state: ClaimState,
    /// When it was claimed, nanoseconds since the Unix epoch.
    pub receive_time: u64,
}

/// The last whole scan of the venues' catalogs, by the owner of slice 0.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CatalogScan<'a> {
    /// Name of the engine.
    #[serde(borrow)]
    pub engine: Cow<'a, str>,
    /// The group of the engine.
    #[serde(borrow)]
    pub group: Cow<'a, str>,
    /// When it was complete, nanoseconds since the Unix epoch; of several venues the first one.
    pub scan_time: u64,
}

impl<'a> CatalogScan<'a> {
    /// `None` for another record.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        sonic_rs::from_str(text).ok()
    }

    /// The key of the record.
    pub fn key(&self) -> String {
        format!("{}/catalog", self.group)
    }

    /// The record.
    pub fn text(&self) -> String {
        let Self { engine, group, scan_time } = self;
        format!(
            r#"{{"kind":"catalog","engine":"{engine}","group":"{group}","scan_time":{scan_time}}}"#
        )
    }
}

impl<'a> Claim<'a> {
    /// # Errors
    /// The text is no claim.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        sonic_rs::from_str(text).map_err(|error| format!("no claim: {error}"))
    }

    /// The key of the record: of each the last one stays.
    pub fn key(&self) -> String {
        format!("{}/{}", self.group, self.slice)
    }

    /// The record.
    pub fn text(&self) -> String {
        let Self { slice, engine, group, state, receive_time } = self;
        let state = state.name();
        format!(
            r#"{{"kind":"slice","slice":{slice},"engine":"{engine}","group":"{group}","state":"{state}","receive_time":{receive_time}}}"#
        )
    }
}
