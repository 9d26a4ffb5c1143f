//! The page's modules as one script: a browser asks for it once, and not once for each module, six at a time, with headers and all; and together they
//! pack better than each for itself.
//!
//! Promises: each module is a function of its own, so that its names stay its own; it runs once, after those that it imports, and keeps its lines. The
//! address of a single module still gives what that very module exports: for tests, and for who works on the page. Where a module is not
//! understood, or imports what another does not export, all are sent as they are (and a test fails). Left out: what would take a parser, such as exports that
//! change, several names in one `export const`, and a line of a template that begins as an import or an export does.

/// The module that begins the page: in its place all are sent.
pub(super) const MAIN: &str = "js/main.js";

/// The modules that the page is made of, each behind those that it imports.
pub(super) struct Bundle {
    modules: Vec<Module>,
}

struct Module {
    path: String,
    /// What it imports, and of which modules.
    imports: Vec<(String, Vec<String>)>,
    /// By its own names, and as others know them.
    exports: Vec<(String, String)>,
    /// Its lines, with imports taken from the modules before it.
    body: String,
}

impl Bundle {
    /// `read` gives a source. None: something is missing, or is not understood.
    pub(super) fn of(read: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let mut bundle = Self { modules: Vec::new() };
        bundle.add(MAIN, read, &[])?;
        Some(bundle)
    }

    /// Adds a module behind those that it imports; `around` are those that wait for it.
    fn add(&mut self, path: &str, read: &dyn Fn(&str) -> Option<String>, around: &[&str]) -> Option<()> {
        if self.module(path).is_some() {
            return Some(());
        }
        if around.contains(&path) {
            return None;
        }
        let module = Module::parse(path, &read(path)?)?;
        for (import, names) in &module.imports {
            self.add(import, read, &[around, &[path]].concat())?;
            // A script would only find out when it is used.
            let exports = &self.module(import)?.exports;
            if !names.iter().all(|name| exports.iter().any(|(_, known)| known == name)) {
                return None;
            }
        }
        self.modules.push(module);
        Some(())
    }

    fn module(&self, path: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.path == path)
    }

    /// What is sent in the place of a module; none: it is not part of the page.
    pub(super) fn sent(&self, path: &str) -> Option<String> {
        if path == MAIN { Some(self.script()) } else { self.module(path).map(Module::reference) }
    }

    fn script(&self) -> String {
        let functions: String = self.modules.iter().map(Module::function).collect();
        let names: Vec<_> = self.modules.iter().map(|module| name(&module.path)).collect();
        format!("{functions}export {{ {} }};\n", names.join(", "))
    }
}

impl Module {
    fn parse(path: &str, source: &str) -> Option<Self> {
        let mut module = Self { path: path.to_owned(), imports: Vec::new(), exports: Vec::new(), body: String::new() };
        let is_nameable = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '/';
        if !path.strip_suffix(".js")?.chars().all(is_nameable) {
            return None;
        }
        // What bundlers make names its exports at its end.
        let listed = source.trim_end().strip_suffix("};").and_then(|source| source.rsplit_once("export{"));
        let (source, list) = listed.unwrap_or((source, ""));
        for line in source.lines() {
            if let Some(import) = line.strip_prefix("import ") {
                let (names, from) = import.strip_suffix("';")?.split_once(" from '")?;
                let names = names.strip_prefix('{')?.strip_suffix('}')?;
                let from = resolved(path, from)?;
                module.body += &format!("const {{{}}} = {};", names.replace(" as ", ": "), name(&from));
                let known =
                    names.split(',').map(|name| name.trim().split(" as ").next().unwrap_or_default().to_owned());
                module.imports.push((from, known.collect()));
            } else if let Some(statement) = line.strip_prefix("export ") {
                let own = declared(statement).filter(|_| !statement.contains(" = await "))?;
                module.exports.push((own.clone(), own));
                module.body += statement;
            } else if line.starts_with("await ") || line.trim_start().starts_with("import {") {
                return None;
            } else {
                module.body += line;
            }
            module.body.push('\n');
        }
        for export in list.split(',').filter(|export| !export.is_empty()) {
            let (own, known) = export.split_once(" as ").unwrap_or((export, export));
            module.exports.push((own.to_owned(), known.to_owned()));
        }
        Some(module)
    }

    fn function(&self) -> String {
        let exports: Vec<_> = self.exports.iter().map(|(own, known)| format!("{known}: {own}")).collect();
        let (name, body) = (name(&self.path), &self.body);
        format!("const {name} = (() => {{\n{body}return {{ {} }};\n}})();\n", exports.join(", "))
    }

    /// The module by its own address: what it exports, out of the whole script.
    fn reference(&self) -> String {
        let exports: Vec<_> = self.exports.iter().map(|(_, known)| known.as_str()).collect();
        let name = name(&self.path);
        format!("import {{ {name} }} from '/{MAIN}';\nexport const {{ {} }} = {name};\n", exports.join(", "))
    }
}

/// What a module is called among the others: a name that none of them uses for anything else.
fn name(path: &str) -> String {
    let path = path.strip_prefix("js/").unwrap_or(path);
    format!("${}", path.strip_suffix(".js").unwrap_or(path).replace('/', "$"))
}

/// The path of what a module imports.
fn resolved(module: &str, address: &str) -> Option<String> {
    let mut parts: Vec<&str> = module.split('/').collect();
    parts.pop();
    for part in address.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What an exported statement declares: something that stays what it is.
fn declared(statement: &str) -> Option<String> {
    let kinds = ["const ", "class ", "function ", "async function "];
    let rest = kinds.iter().find_map(|kind| statement.strip_prefix(kind))?;
    let end = rest.find([' ', '(', '{'])?;
    let name = rest.get(..end).filter(|name| !name.is_empty())?;
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_').then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::page::Files;

    fn bundle(sources: &[(&str, &str)]) -> Option<Bundle> {
        Bundle::of(&|path| sources.iter().find(|(known, _)| *known == path).map(|(_, source)| (*source).to_owned()))
    }

    const MADE: &str = "var a=1,b=`x\n`;export{a as one,b};\n";
    const SHOWN: &str = "import { one as first } from '../made.js';\n\n/** It. */\nexport function shown() {\n  return first;\n}\nexport const TWO = 2;\n";
    const BEGUN: &str =
        "// Begins.\nimport { shown } from './ui/shown.js';\nimport { b } from './made.js';\nshown(b);\n";

    #[test]
    fn each_module_is_a_function_behind_those_that_it_imports() {
        let bundle = bundle(&[("js/main.js", BEGUN), ("js/ui/shown.js", SHOWN), ("js/made.js", MADE)]).unwrap();
        let script = "const $made = (() => {\nvar a=1,b=`x\n`;\nreturn { one: a, b: b };\n})();\n\
                      const $ui$shown = (() => {\nconst { one: first } = $made;\n\n/** It. */\nfunction shown() {\n  return first;\n}\nconst TWO = 2;\n\
                      return { shown: shown, TWO: TWO };\n})();\n\
                      const $main = (() => {\n// Begins.\nconst { shown } = $ui$shown;\nconst { b } = $made;\nshown(b);\nreturn {  };\n})();\n\
                      export { $made, $ui$shown, $main };\n";
        assert_eq!(bundle.sent(MAIN).unwrap(), script);
        let alone = "import { $ui$shown } from '/js/main.js';\nexport const { shown, TWO } = $ui$shown;\n";
        assert_eq!(bundle.sent("js/ui/shown.js").unwrap(), alone);
        assert_eq!(bundle.sent("js/other.js"), None);
    }

    #[test]
    fn what_is_not_understood_is_none() {
        for main in [
            "import { a } from './missing.js';",
            "import a from './made.js';",
            "import './made.js';",
            "import {\n  one,\n} from './made.js';",
            "export let a = 1;",
            "export default 1;",
            "export { a };",
            "await a();",
            "export const a = await one();",
            "  import { one } from './made.js';",
            "import { a } from './made.js';",
            "import { a } from './made-up.js';",
            "import { a } from './main.js';",
            "import { a } from '../../made.js';",
        ] {
            assert!(
                bundle(&[("js/main.js", main), ("js/made.js", MADE), ("js/made-up.js", "export const a = 1;")])
                    .is_none(),
                "{main}"
            );
        }
        let circle = [("js/main.js", "import { a } from './a.js';"), ("js/a.js", "import { b } from './b.js';")];
        let circle = [circle[0], circle[1], ("js/b.js", "import { a } from './a.js';")];
        assert!(bundle(&circle).is_none());
    }

    #[test]
    fn all_modules_of_the_page_are_in_its_script() {
        let read = |path: &str| String::from_utf8(Files::get(path)?.data.into_owned()).ok();
        let bundle = Bundle::of(&read).unwrap();
        for path in Files::iter().filter(|path| path.ends_with(".js")) {
            assert!(bundle.module(&path).is_some(), "{path}");
        }
    }
}
