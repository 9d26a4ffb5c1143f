//! Compiles the protocol files with protox, so that no system `protoc` is needed, and gives what clients speak a form in JSON.
//!
//! The JSON of a message is decided here, from the descriptors, and so is the same for every message that is ever added: see
//! `src/json.rs` for the rules.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use protox::prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use tonic_prost_build::Builder;

/// What clients speak. Servers among themselves need no JSON.
const CHAT: &str = "threefold.chat.v1";

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["proto/chat.proto", "proto/peer.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("threefold.descriptors.bin"), descriptors.encode_to_vec())?;
    fs::write(out.join("calls.rs"), calls(&descriptors))?;
    fs::write(out.join("messages.rs"), format!("each!({})", names(&descriptors).join(" ")))?;
    fs::write(out.join("sketches.rs"), sketches(&descriptors))?;
    // Maps in order: one value has one form on every server, on disk as on the wire.
    let builder = tonic_prost_build::configure().bytes(".").btree_map(".");
    with_json(builder, &descriptors)?.compile_fds(descriptors)?;
    leave_out_unset_oneofs(&out.join(format!("{CHAT}.rs")))
}

/// The names of all calls but streams, as JSON has them.
fn calls(descriptors: &FileDescriptorSet) -> String {
    let files = descriptors.file.iter().filter(|file| file.package() == CHAT);
    let methods = files.flat_map(|file| &file.service).flat_map(|service| &service.method);
    let single = methods.filter(|method| !method.client_streaming() && !method.server_streaming());
    let names: Vec<String> = single.map(|method| snake_case(method.name())).collect();
    format!("&{names:?}")
}

fn messages(descriptors: &FileDescriptorSet) -> impl Iterator<Item = &DescriptorProto> {
    descriptors.file.iter().filter(|file| file.package() == CHAT).flat_map(|file| &file.message_type)
}

fn names(descriptors: &FileDescriptorSet) -> Vec<&str> {
    messages(descriptors).map(DescriptorProto::name).collect()
}

/// What the tests of the JSON form need to know of every message, to make some.
fn sketches(descriptors: &FileDescriptorSet) -> String {
    let sketch = |message: &DescriptorProto| {
        let fields = message.field.iter().map(|field| {
            let repeated = field.label() == Label::Repeated;
            format!("({}, \"{:?}\", {:?}, {repeated})", field.number(), field.r#type(), type_name(field))
        });
        let fields: Vec<String> = fields.collect();
        format!("({:?}, {}, &[{}])", message.name(), is_one_choice(message), fields.join(", "))
    };
    let sketches: Vec<String> = messages(descriptors).map(sketch).collect();
    format!("&[{}]", sketches.join(",\n"))
}

fn type_name(field: &FieldDescriptorProto) -> &str {
    field.type_name().rsplit('.').next().unwrap_or_default()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn with_json(builder: Builder, descriptors: &FileDescriptorSet) -> Result<Builder, String> {
    let package = format!(".{CHAT}");
    let mut builder = builder
        .message_attribute(&package, "#[derive(serde::Serialize, serde::Deserialize)]")
        .enum_attribute(&package, "#[derive(serde::Serialize, serde::Deserialize)]")
        .enum_attribute(&package, "#[serde(rename_all = \"snake_case\")]");
    for message in messages(descriptors) {
        let path = format!("{package}.{}", message.name());
        let form =
            if is_one_choice(message) { "#[serde(transparent)]" } else { "#[serde(default, deny_unknown_fields)]" };
        builder = builder.message_attribute(&path, form);
        if message.nested_type.iter().any(|nested| !nested.options.as_ref().is_some_and(|options| options.map_entry()))
        {
            return Err(format!("{path}: messages within messages have no form in JSON yet"));
        }
        for field in &message.field {
            for attribute in attributes(field).map_err(|words| format!("{path}.{}: {words}", field.name()))? {
                builder = builder.field_attribute(field_path(&path, message, field), attribute);
            }
        }
    }
    Ok(builder)
}

/// Whether it holds nothing but one `oneof`: then it is that.
fn is_one_choice(message: &DescriptorProto) -> bool {
    message.oneof_decl.len() == 1 && message.field.iter().all(in_choice)
}

fn in_choice(field: &FieldDescriptorProto) -> bool {
    field.oneof_index.is_some() && !field.proto3_optional()
}

/// Where the generator looks for a field's attributes.
fn field_path(path: &str, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let choice = field.oneof_index.filter(|_| in_choice(field)).and_then(|index| usize::try_from(index).ok());
    match choice.and_then(|index| message.oneof_decl.get(index)) {
        Some(choice) => format!("{path}.{}.{}", choice.name(), field.name()),
        None => format!("{path}.{}", field.name()),
    }
}

fn attributes(field: &FieldDescriptorProto) -> Result<Vec<String>, &'static str> {
    let mut attributes = Vec::new();
    let with = match field.r#type() {
        Type::Bytes => Some("crate::json::hex".to_owned()),
        Type::Enum => Some(format!("crate::json::Named::<crate::chat::{}>", type_name(field))),
        _ => None,
    };
    if let Some(with) = with {
        if field.label() == Label::Repeated || field.proto3_optional() {
            return Err("bytes and enums have a form in JSON only as plain fields; teach src/json.rs more");
        }
        attributes.push(format!("#[serde(with = \"{with}\")]"));
    }
    if !in_choice(field) {
        attributes.push("#[serde(skip_serializing_if = \"crate::json::is_default\")]".to_owned());
    }
    Ok(attributes)
}

/// An unset `oneof` is left out like any other default. The generator knows no attribute for that place: one for the `oneof` is
/// put on its choices as well, which may not have it.
fn leave_out_unset_oneofs(generated: &PathBuf) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    let mut transparent = false;
    for line in fs::read_to_string(generated)?.lines() {
        match line.trim_start() {
            "#[serde(transparent)]" => transparent = true,
            "}" => transparent = false,
            field if field.starts_with("#[prost(oneof") && !transparent => {
                text.push_str("#[serde(skip_serializing_if = \"Option::is_none\")]\n");
            }
            _ => {}
        }
        text.push_str(line);
        text.push('\n');
    }
    Ok(fs::write(generated, text)?)
}
