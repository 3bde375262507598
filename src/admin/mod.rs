//! The admin's HTTP: health, readiness, metrics.
