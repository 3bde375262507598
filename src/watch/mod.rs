//! Counts and judges: latency, lookups, links, depths.
