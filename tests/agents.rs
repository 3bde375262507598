//! The agents' WebSocket: what is written down is what is sent.

use linecard::agents::protocol;

/// `docs/protocol/schemas` is made from the Rust types. After a change of them: `UPDATE_SCHEMAS=1 cargo test schemas`.
#[test]
fn schemas_on_disk_are_those_of_the_types() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol/schemas");
    let mut expected = Vec::new();
    for (kind, schema) in protocol::schemas() {
        let name = format!("{kind}.json");
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(folder.join(&name), &text).unwrap();
        }
        let found = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(found == text, "{name} is not what the types say; run with UPDATE_SCHEMAS=1");
        expected.push(name);
    }
    let mut on_disk: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    on_disk.sort();
    expected.sort();
    assert_eq!(on_disk, expected, "a schema without a frame");
}

/// The AsyncAPI page names every frame once, and no other.
#[test]
fn asyncapi_names_every_frame() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol/asyncapi.yaml");
    let page: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let messages = page["channels"]["agent"]["messages"].as_object().unwrap();
    let mut named = Vec::new();
    for message in messages.values() {
        let name = message["name"].as_str().unwrap();
        assert_eq!(message["payload"]["$ref"], format!("./schemas/{name}.json"));
        named.push(name);
    }
    let mut kinds: Vec<&str> = protocol::schemas().iter().map(|(kind, _)| *kind).collect();
    named.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(named, kinds);
    let operations = page["operations"].as_object().unwrap();
    let referred: usize = operations.values().map(|o| o["messages"].as_array().unwrap().len()).sum();
    assert_eq!(referred, kinds.len());
}
