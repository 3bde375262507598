//! How each switch speaks; gives what happened on the line.

pub mod asterisk;
