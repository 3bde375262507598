//! Tokens, roles and audit words: who somebody is and what they may do.
