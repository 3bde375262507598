//! The `linecard` binary: reads the command line and hands over to `daemon`.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Wrong usage leaves with 2: clap's own code for it.
    linecard::daemon::verbs::run(linecard::daemon::cli::Cli::parse().verb).into()
}
