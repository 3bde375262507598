//! Settings, wiring, shutdown, health, logs, and the command line.
