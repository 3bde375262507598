//! Writes each target's corpus: `corpus/TARGET/`, from the fixtures.

use std::{fs, path::Path};

#[path = "bodies.rs"]
#[allow(dead_code, reason = "it needs the seeds only")]
mod bodies;

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (target, _) in bodies::TARGETS {
        let folder = here.join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        let seeds = bodies::seeds(target, &here.join("../proto-fixtures"));
        for (name, bytes) in &seeds {
            fs::write(folder.join(name), bytes)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}
