//! How each business system is asked and told, described in files, not in Rust.
