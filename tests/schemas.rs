//! `config/schemas`: what editors know of settings files is what the types say, and the ready files obey it.

use std::{fs, path::Path};

use linecard::daemon::schemas;

fn config() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config"))
}

/// After a change of the types: `UPDATE_SCHEMAS=1 cargo test schemas`.
#[test]
fn schemas_of_settings_files_are_those_of_the_types() {
    let folder = config().join("schemas");
    let mut expected = Vec::new();
    for schema in schemas::all() {
        let name = format!("{}.json", schema.name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(folder.join(&name), schema.text()).unwrap();
        }
        let found = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(found == schema.text(), "{name} is not what the types say; run with UPDATE_SCHEMAS=1");
        expected.push(name);
    }
    let mut on_disk: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    on_disk.sort();
    expected.sort();
    assert_eq!(on_disk, expected, "a schema without a type");
}

/// The first line of each ready file leads to its schema from where the file is installed, and an editor that follows it underlines nothing.
#[test]
fn ready_files_name_their_schema_and_obey_it() {
    let mut seen = 0;
    for schema in schemas::all() {
        let validator = jsonschema::draft7::new(&schema.schema).unwrap();
        // Flows are copied from the demo.
        let (folder, one) = match schema.files.split_once('/') {
            Some(("flows", _)) => (config().join("demo/flows"), None),
            Some((folder, _)) => (config().join(folder), None),
            None => (config().to_owned(), Some(schema.files)),
        };
        let up = if one.is_some() { "" } else { "../" };
        let first = format!("# yaml-language-server: $schema={up}schemas/{}.json", schema.name);
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.ends_with(".yaml") || one.is_some_and(|one| one != name) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().next(), Some(first.as_str()), "{}", path.display());
            let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            let mut wrong: Vec<String> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
            // What a site must say itself.
            wrong.retain(|wrong| name != "linecard.yaml" || wrong != "/agents: \"tokens\" is a required property");
            assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

/// `/v1` over HTTP, as the code has it.
#[test]
fn schemas_of_http_are_those_of_the_code() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol/openapi.json"));
    let text = format!("{:#}\n", linecard::admin::console::http::document());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(file, &text).unwrap();
    }
    let found = fs::read_to_string(file).unwrap_or_default();
    assert!(found == text, "docs/protocol/openapi.json is not what the code says; run with UPDATE_SCHEMAS=1");
}
