//! `check`: everything that is wrong with the settings; with `--probe` what switches and systems say of us.

use super::{Exit, wrong};
use crate::{
    connectors::{self, Ask, Connectors, Outcome, Priority},
    daemon::{
        cli::Check,
        load::{self, Loaded},
    },
    recordings, switches,
    words::TenantId,
};

pub fn check(args: &Check) -> Exit {
    let loaded = match load::load(&args.folder.config, &[]) {
        Ok(loaded) => loaded,
        Err(problems) if args.json => {
            for problem in &problems {
                println!("{}", serde_json::to_string(problem).unwrap_or_default());
            }
            return Exit::WrongSettings;
        }
        Err(problems) => return wrong(&problems),
    };
    let mut exit = Exit::Good;
    for note in &loaded.notes {
        if args.json {
            println!("{}", serde_json::json!({"note": note}));
        } else {
            println!("note: {note}");
        }
    }
    // What an operator's machine must prove as well: the examples inside the connector files. They are played with the file's own
    // values and no secrets: a site's values are not those the examples were written with, and a key must not be printed.
    for (name, text) in load::connector_texts(&loaded.folder) {
        let examples = connectors::load_offline(&name, &text).map(|system| connectors::examples::run(&system));
        for result in examples.unwrap_or_default() {
            if let Err(why) = &result.result {
                println!("{name}: example \"{}\": {why}", result.name);
                exit = Exit::WrongSettings;
            }
        }
    }
    if args.manager_conf {
        for switch in &loaded.switches {
            print!("{}", switches::live::conf_lines(switch));
        }
        return exit;
    }
    if exit == Exit::Good && !args.json {
        println!(
            "good: {} switch(es), {} trunk row(s), {} agent(s), {} connector(s)",
            loaded.switches.len(),
            loaded.live.trunks.rows().len(),
            loaded.live.directory.agents().count(),
            loaded.live.connectors.iter().count()
        );
    }
    if args.probe && probe(loaded) == Exit::Failed {
        return Exit::Failed;
    }
    exit
}

fn probe(loaded: Loaded) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return super::fail(&format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let mut exit = Exit::Good;
        for switch in &loaded.switches {
            for told in switches::live::probe(switch).await {
                match told {
                    Ok(line) => println!("switch {}: {line}", switch.id()),
                    Err(why) => {
                        println!("switch {}: {why}", switch.id());
                        exit = Exit::Failed;
                    }
                }
            }
        }
        let removes = loaded.settings.recordings.keep.iter().any(|keep| keep.remove);
        for place in &loaded.settings.recordings.places {
            let switch = &place.switch;
            match (&place.folder, &place.url) {
                (Some(folder), _) => match recordings::folder::live::look(folder, removes) {
                    Ok(()) => println!("recordings of {switch}: {} is there", folder.display()),
                    Err(why) => {
                        println!("recordings of {switch}: {why}");
                        exit = Exit::Failed;
                    }
                },
                (None, _) => println!("recordings of {switch}: asked for when somebody listens, so nothing was asked"),
            }
        }
        let connectors = Connectors::keeping(loaded.live.connectors, loaded.settings.tokens_folder());
        for system in connectors.files() {
            if !connectors.offers(&system, "check") {
                println!("connector {system}: its file has no check operation, so nothing was asked");
                continue;
            }
            let ask = Ask {
                tenant: TenantId::default(),
                system: system.clone(),
                operation: "check".to_owned(),
                inputs: serde_json::Map::new(),
                deadline: std::time::Duration::from_secs(30),
                priority: Priority::Background,
            };
            match connectors.run(ask).await {
                Outcome::Ok(who) => println!("connector {system}: {who}"),
                other => {
                    println!(
                        "connector {system}: {}: {}",
                        other.word(),
                        other.reason().unwrap_or("no reason was given")
                    );
                    exit = Exit::Failed;
                }
            }
        }
        connectors::version::live::look(&connectors).await;
        for one in connectors.standing() {
            let (system, version) = (&one.system, &one.version);
            match (&version.told, &version.drift, &version.trouble) {
                (_, Some(drift), _) => println!("connector {system}: another version: {drift}"),
                (Some((told, _)), ..) => println!("connector {system}: version {told}"),
                (None, None, Some(why)) => println!("connector {system}: which version it is was not told: {why}"),
                (None, None, None) => {}
            }
        }
        exit
    })
}
