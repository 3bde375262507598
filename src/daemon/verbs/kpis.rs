//! `kpis`: what the calls of a time come to.

use super::{Exit, fail, wrong};
use crate::{
    daemon::{cli::Kpis, load},
    kpis::{self, Asked, Sight, Site},
    live::now,
    store::Reader,
};

pub fn kpis(args: Kpis) -> Exit {
    let loaded = match load::load(&args.folder.config, &[]) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong(&problems),
    };
    let Kpis { from, to, by, against, queue, line, agent, team, tenant, brand, json, csv, .. } = args;
    let asked = Asked { from, to, by, against, queue, line, agent, team, tenant, brand };
    let (settings, at) = (&loaded.settings.kpis, now().wall);
    let query = match asked.read(settings, at) {
        Ok(query) => query,
        Err(problem) => return fail(&problem.to_string()),
    };
    let edges = load::edges_of(&loaded.switches);
    let site = Site { settings, directory: &loaded.live.directory, edges: &edges, now: at };
    let reader = match Reader::open(&loaded.settings.store) {
        Ok(reader) => reader,
        Err(error) => return fail(&error.to_string()),
    };
    match kpis::answer(&reader, site, &query, &Sight::All) {
        Ok(answer) => {
            match (json, csv) {
                (true, _) => println!("{}", serde_json::to_string(&answer).unwrap_or_default()),
                (_, true) => print!("{}", kpis::csv(&answer)),
                _ => print!("{}", kpis::text(&answer)),
            }
            Exit::Good
        }
        Err(error) => fail(&error.to_string()),
    }
}
