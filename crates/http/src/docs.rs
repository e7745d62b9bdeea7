//! The page that shows the description to people: one HTML document with its style inside, no script, nothing
//! fetched from elsewhere.

use std::fmt::Write;

use serde_json::Value;

const STYLE: &str = include_str!("docs.css");

/// Renders the page. Every link in it is relative, so that it works wherever it is mounted.
pub(crate) fn page(description: &Value) -> String {
    let info = &description["info"];
    let title = escape(text(&info["title"]));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} API</title>\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head><body>"
    );
    push(
        &mut html,
        format_args!(
            "<header><h1>{title} <small>{}</small></h1>",
            escape(text(&info["version"]))
        ),
    );
    paragraph(&mut html, text(&info["description"]));
    html.push_str("<p><a href=\"openapi.json\">openapi.json</a> is the same for machines.</p></header>");
    contents(&mut html, description);
    html.push_str("<main>");
    for tag in description["tags"].as_array().into_iter().flatten() {
        section(&mut html, description, tag);
    }
    schemas(&mut html, &description["components"]["schemas"]);
    html.push_str("</main></body></html>\n");
    html
}

/// Writing to a string cannot fail.
fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = html.write_fmt(text);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Escaped, with what stands between a pair of backticks as code.
fn prose(text: &str) -> String {
    let escaped = escape(text);
    let parts: Vec<&str> = escaped.split('`').collect();
    let mut html = String::new();
    for (i, part) in parts.iter().enumerate() {
        match i % 2 == 1 && i + 1 < parts.len() {
            true => push(&mut html, format_args!("<code>{part}</code>")),
            false => html.push_str(part),
        }
    }
    html
}

/// Links to the sections. Their ids cannot be those of types, which begin with a capital.
fn contents(html: &mut String, description: &Value) {
    let tags = description["tags"].as_array().into_iter().flatten();
    html.push_str("<nav>");
    for name in tags.map(|tag| text(&tag["name"])).chain(["types"]) {
        let name = escape(name);
        push(html, format_args!("<a href=\"#{name}\">{name}</a>"));
    }
    html.push_str("</nav>");
}

/// Nothing where there is nothing to say.
fn paragraph(html: &mut String, text: &str) {
    if !text.is_empty() {
        push(html, format_args!("<p>{}</p>", prose(text)));
    }
}

fn section(html: &mut String, description: &Value, tag: &Value) {
    let name = text(&tag["name"]);
    push(
        html,
        format_args!("<section id=\"{0}\"><h2>{0}</h2>", escape(name)),
    );
    paragraph(html, text(&tag["description"]));
    for (path, item) in description["paths"].as_object().into_iter().flatten() {
        let methods = item.as_object().into_iter().flatten();
        for (method, operation) in methods.filter(|(_, operation)| operation["tags"][0] == name) {
            self::operation(html, method, path, operation);
        }
    }
    html.push_str("</section>");
}

fn operation(html: &mut String, method: &str, path: &str, operation: &Value) {
    let method_name = method.to_uppercase();
    push(
        html,
        format_args!(
            "<article><h3><b class=\"{method}\">{method_name}</b> <code>{}</code>",
            escape(path)
        ),
    );
    push(html, format_args!(" <i>{}</i></h3>", escape(role(operation))));
    for part in ["summary", "description"] {
        paragraph(html, text(&operation[part]));
    }
    parameters(html, operation);
    if let Some(body) = content_type(&operation["requestBody"]) {
        push(html, format_args!("<p>Body: {body}</p>"));
    }
    responses(html, operation);
    html.push_str("</article>");
}

fn role(operation: &Value) -> &str {
    operation["security"][0]
        .as_object()
        .and_then(|scheme| scheme.values().next())
        .map_or("open to all", |roles| text(&roles[0]))
}

fn parameters(html: &mut String, operation: &Value) {
    let parameters = operation["parameters"]
        .as_array()
        .filter(|parameters| !parameters.is_empty());
    let rows = parameters.into_iter().flatten().map(|parameter| {
        let place = format!("{} ({})", text(&parameter["name"]), text(&parameter["in"]));
        [
            escape(&place),
            type_of(&parameter["schema"]),
            prose(text(&parameter["description"])),
        ]
    });
    table(html, ["Parameter", "Type", ""], rows);
}

fn responses(html: &mut String, operation: &Value) {
    let rows = operation["responses"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(status, response)| {
            let body = content_type(response).unwrap_or_default();
            [escape(status), body, prose(text(&response["description"]))]
        });
    table(html, ["Status", "Body", ""], rows);
}

/// The type of the first content of a body or response.
fn content_type(value: &Value) -> Option<String> {
    let (_, content) = value["content"].as_object()?.iter().next()?;
    Some(type_of(&content["schema"]))
}

fn table(html: &mut String, head: [&str; 3], rows: impl Iterator<Item = [String; 3]>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let [a, b, c] = head;
    push(
        html,
        format_args!("<table><tr><th>{a}</th><th>{b}</th><th>{c}</th></tr>"),
    );
    for [a, b, c] in rows {
        push(
            html,
            format_args!("<tr><td><code>{a}</code></td><td>{b}</td><td>{c}</td></tr>"),
        );
    }
    html.push_str("</table>");
}

fn schemas(html: &mut String, schemas: &Value) {
    html.push_str("<section id=\"types\"><h2>types</h2>");
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        let name = escape(name);
        push(html, format_args!("<article id=\"{name}\"><h3>{name}</h3>"));
        paragraph(html, text(&schema["description"]));
        fields(html, schema);
        choices(html, schema);
        html.push_str("</article>");
    }
    html.push_str("</section>");
}

fn fields(html: &mut String, schema: &Value) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    let rows = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, field)| {
            let optional = if required.contains(&name.as_str()) {
                ""
            } else {
                "?"
            };
            [
                format!("{}{optional}", escape(name)),
                type_of(field),
                prose(description_of(field)),
            ]
        });
    table(html, ["Field", "Type", ""], rows);
}

/// What is said of a field. Of one that may be `null`, it stands beside the type that it has otherwise.
fn description_of(field: &Value) -> &str {
    let choices = field["oneOf"].as_array().into_iter().flatten();
    std::iter::once(field)
        .chain(choices)
        .map(|part| text(&part["description"]))
        .find(|said| !said.is_empty())
        .unwrap_or_default()
}

/// The variants of an enumeration: names alone, names with a description, or objects told apart by one field.
fn choices(html: &mut String, schema: &Value) {
    let names = schema["enum"].as_array().into_iter().flatten();
    let names: Vec<String> = names.map(|name| format!("`{}`", text(name))).collect();
    paragraph(html, &names.join(", "));
    let variants = ["oneOf", "allOf", "anyOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array())
        .flatten();
    let described = variants.map(|variant| {
        [
            variant_name(variant),
            type_of(variant),
            prose(text(&variant["description"])),
        ]
    });
    table(html, ["Value", "Type", ""], described);
}

fn variant_name(variant: &Value) -> String {
    let tag = variant["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .find_map(|(_, field)| field["enum"][0].as_str());
    escape(tag.or(variant["enum"][0].as_str()).unwrap_or("…"))
}

/// A type in words, with links to the types that have a name.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next())
    {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    let choices = ["oneOf", "anyOf", "allOf"]
        .into_iter()
        .find_map(|key| schema[key].as_array());
    if let Some(choices) = choices {
        return choices.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::Array(names) => names
            .iter()
            .map(|name| plain(text(name), schema))
            .collect::<Vec<_>>()
            .join(" or "),
        name => plain(text(name), schema),
    }
}

fn plain(name: &str, schema: &Value) -> String {
    match name {
        "array" => format!("list of {}", type_of(&schema["items"])),
        _ => escape(name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_escaped_and_only_paired_backticks_are_code() {
        assert_eq!(prose("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
        assert_eq!(prose("`a` and an odd ` <"), "<code>a</code> and an odd  &lt;");
    }

    #[test]
    fn sections_are_linked_and_names_alone_are_listed() {
        let html = page(&json!({
            "info": {"title": "x", "version": "1", "description": "y"},
            "tags": [{"name": "deploys", "description": "What was done"}],
            "paths": {},
            "components": {"schemas": {
                "Marker": {"enum": ["lost", "found"]},
                "Row": {"properties": {"marker": {"oneOf": [{"$ref": "#/components/schemas/Marker", "description": "Why"}, {"type": "null"}]}}},
            }},
        }));
        for part in [
            "<a href=\"#deploys\">deploys</a>",
            "<section id=\"deploys\"><h2>deploys</h2>",
            "<p><code>lost</code>, <code>found</code></p>",
            "<td><a href=\"#Marker\">Marker</a> or null</td><td>Why</td>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("<p></p>"), "{html}");
    }
}
