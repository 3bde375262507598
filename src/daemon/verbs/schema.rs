//! `schema`: what editors need to know of settings files.

use std::fs;

use super::{Exit, fail};
use crate::daemon::{cli::Schema, schemas};

pub fn schema(args: &Schema) -> Exit {
    let all = schemas::all();
    if let Some(folder) = &args.into {
        for schema in &all {
            let file = folder.join(format!("{}.json", schema.name));
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(&file, schema.text()));
            if let Err(error) = written {
                return fail(&format!("cannot write {}: {error}", file.display()));
            }
            println!("{}", file.display());
        }
        return Exit::Good;
    }
    let Some(name) = &args.name else {
        for schema in &all {
            println!("{:<12} {}", schema.name, schema.files);
        }
        return Exit::Good;
    };
    match all.iter().find(|schema| schema.name == name) {
        Some(schema) => {
            print!("{}", schema.text());
            Exit::Good
        }
        None => {
            let names: Vec<&str> = all.iter().map(|schema| schema.name).collect();
            fail(&format!("there is no schema {name}; there are: {}", names.join(", ")))
        }
    }
}
