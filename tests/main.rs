//! One test program: it links once and keeps the loop quick. A module per promise.

mod agents;
