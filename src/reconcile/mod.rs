//! Whether everybody tells the same: our records, the switch's own, and what the business systems hold.
//!
//! [`compare`] (still) is handed what each side has and concludes differences; the daemon hands it over each night, the command line when asked. A difference is a row of the
//! store until it is mended, accepted by a person, or seen no more. Nothing is mended by itself here: what the nightly look finds has got past everything that mends by itself.

pub mod compare;
pub mod settings;

pub use settings::Settings;
