//! Which files of `src` use which, read from their text.
//!
//! What counts as a use:
//!
//! * Each path that begins with `crate`, `super`, `self` or a module of the file, be it in a `use`
//!   or in the midst of code; but neither in comments nor in what is compiled for tests only. All
//!   features count.
//! * It is a use of the file that *defines* the name: modules that only pass it on are looked
//!   through.
//! * So `mod` and `pub use`, by which a module shows what its children hold, are no uses of the
//!   children. If its own code needs the name, that is one.
//! * A child that takes something of its parent uses the parent's file, as any other.
//!
//! Methods are not seen. Who calls one has the value from somebody who names its type.

use std::collections::{BTreeMap, BTreeSet};

/// Who uses whom.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// A path from `crate` on, or one that begins with a name of the file or of another crate.
type Path = Vec<String>;

/// The files that are compiled, by their paths in `src`.
#[derive(Default)]
pub(crate) struct Source {
    files: BTreeMap<String, File>,
    /// The files of each module: more than one, where features choose.
    modules: BTreeMap<Path, Vec<String>>,
}

#[derive(Default)]
struct File {
    module: Path,
    children: Vec<String>,
    imports: Vec<Import>,
    /// The paths everywhere else.
    paths: Vec<Path>,
}

/// What a `use` brings in.
struct Import {
    name: String,
    path: Path,
    /// Whether others can have it from here.
    is_public: bool,
}

impl Source {
    /// Reads the files, from `lib.rs` on.
    pub(crate) fn read(text_of: &dyn Fn(&str) -> String) -> Self {
        let mut source = Self::default();
        source.load("lib.rs", vec!["crate".to_owned()], text_of);
        source
    }

    fn load(&mut self, path: &str, module: Path, text_of: &dyn Fn(&str) -> String) {
        let tokens = without_tests(&tokens(&text_of(path)));
        let mut file = File { module: module.clone(), ..File::default() };
        for (place, window) in tokens.windows(3).enumerate() {
            let [keyword, name, end] = window else { continue };
            if keyword != "mod" || end != ";" {
                continue;
            }
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            let child = match tokens[..place].rsplit(|token| token == "#").next().unwrap() {
                [_, attribute, _, file, _] if attribute == "path" => format!("{above}/{}", &file[1..]),
                _ if path == "lib.rs" => format!("{name}.rs"),
                _ => format!("{}/{name}.rs", path.trim_end_matches(".rs")),
            };
            self.load(child.trim_start_matches('/'), [module.as_slice(), std::slice::from_ref(name)].concat(), text_of);
            file.children.push(name.clone());
        }
        file.read(&tokens);
        self.files.insert(path.to_owned(), file);
        self.modules.entry(module).or_default().push(path.to_owned());
    }

    /// Returns which files use which others.
    pub(crate) fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (path, file) in &self.files {
            let named = |name: &str| file.paths.iter().any(|path| path[0] == name);
            let imported = file.imports.iter().filter(|import| !import.is_public || named(&import.name));
            let imported = imported.map(|import| import.path.clone());
            let named = file.paths.iter().map(|path| {
                let import = file.imports.iter().find(|import| import.name == path[0]);
                import.map_or_else(|| path.clone(), |import| [&import.path, &path[1..]].concat())
            });
            // a module alone is not used: what is taken of it is, and `pub(in crate::x)` takes nothing
            let is_use = |path: &Path| path[0] == "crate" && !self.modules.contains_key(path);
            let local = imported.chain(named).filter(is_use);
            let mut used: BTreeSet<_> = local.flat_map(|path| self.definers(&path)).collect();
            used.retain(|other| other != path && other != "lib.rs");
            graph.insert(path.clone(), used);
        }
        // it only shows what is in the others
        graph.remove("lib.rs");
        graph
    }

    /// Returns the file that defines what a path names.
    fn definers(&self, path: &[String]) -> Vec<String> {
        let depth = (1..=path.len()).rev().find(|depth| self.modules.contains_key(&path[..*depth])).unwrap();
        let (module, rest) = path.split_at(depth);
        let files = &self.modules[module];
        let [name, rest @ ..] = rest else { return files.clone() };
        let mut imports = files.iter().flat_map(|file| &self.files[file].imports);
        match imports.find(|import| import.name == *name && import.path[..] != path[..=depth]) {
            Some(import) => self.definers(&[&import.path, rest].concat()),
            None => files.clone(),
        }
    }
}

impl File {
    fn read(&mut self, tokens: &[String]) {
        // the depths of braces at which modules within the file have begun
        let (mut depth, mut inside) = (0_usize, Vec::new());
        let mut place = 0;
        while place < tokens.len() {
            let before = place.checked_sub(1).map_or("", |before| &tokens[before]);
            match tokens[place].as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inside.retain(|begun| *begun < depth);
                }
                "mod" if tokens[place + 2] == "{" => inside.push(depth),
                "use" if tokens[place + 1] != "<" => {
                    let is_foreign = tokens[place + 1] == "::";
                    let mut found = Vec::new();
                    place = read_tree(tokens, place + 1, &[], &mut found);
                    for (name, path) in found {
                        let path = self.absolute(path, inside.len());
                        if path[0] == "crate" && !is_foreign {
                            self.imports.push(Import { name, path, is_public: before == "pub" || before == ")" });
                        }
                    }
                }
                token if is_name(token) && ![".", "::", "mod"].contains(&before) => {
                    let mut path = vec![token.to_owned()];
                    while tokens.get(place + 1).is_some_and(|token| token == "::") && is_name(&tokens[place + 2]) {
                        path.push(tokens[place + 2].clone());
                        place += 2;
                    }
                    self.paths.push(self.absolute(path, inside.len()));
                }
                _ => {}
            }
            place += 1;
        }
    }

    /// Lets a path begin with `crate`, if it begins with a module; `inside` so many modules within
    /// the file.
    fn absolute(&self, path: Path, inside: usize) -> Path {
        let ups = path.iter().take_while(|part| *part == "super").count();
        match path[0].as_str() {
            // such as `pub(super)`
            _ if path.len() == 1 => path,
            "self" => [&self.module, &path[1..]].concat(),
            "super" => [&self.module[..self.module.len() - ups.saturating_sub(inside)], &path[ups..]].concat(),
            child if self.children.iter().any(|own| own == child) => [self.module.as_slice(), &path].concat(),
            _ => path,
        }
    }
}

/// Reads a `use`, and returns where it ends.
fn read_tree(tokens: &[String], mut place: usize, prefix: &[String], found: &mut Vec<(String, Path)>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens[place].as_str() {
            "{" => {
                while tokens[place] != "}" {
                    place = read_tree(tokens, place + 1, &path, found);
                }
                return place + 1;
            }
            "::" | "$" => {}
            "as" => {
                found.push((tokens[place + 1].clone(), path));
                return place + 2;
            }
            // `self` at the end is the module that stands before it
            "self" if !path.is_empty() => {}
            "," | "}" | ";" => {
                if let Some(name) = path.last().filter(|_| path.len() > prefix.len() || tokens[place - 1] == "self") {
                    found.push((name.clone(), path.clone()));
                }
                return place;
            }
            part => path.push(part.to_owned()),
        }
        place += 1;
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

/// Leaves out what is compiled for tests only.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let (mut left, mut place) = (Vec::new(), 0);
    while place < tokens.len() {
        if tokens[place..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"].map(str::to_owned)) {
            let mut depth = 0;
            loop {
                match tokens[place].as_str() {
                    "(" | "[" | "{" => depth += 1,
                    ")" | "]" | "}" => depth -= 1,
                    _ => {}
                }
                match tokens[place].as_str() {
                    ";" | "," | "}" if depth == 0 => break,
                    // the end of what it was the last part of
                    end if depth < 0 => {
                        left.push(end.to_owned());
                        break;
                    }
                    _ => place += 1,
                }
            }
        } else {
            left.push(tokens[place].clone());
        }
        place += 1;
    }
    left
}

/// Takes a text apart: names, `::`, signs, and strings behind a `"`; no comments, lifetimes and
/// characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let name = rest.len() - rest.trim_start_matches(|char: char| char.is_alphanumeric() || char == '_').len();
        let raw = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r').unwrap_or_default();
        let hashes = &raw[..raw.len() - raw.trim_start_matches('#').len()];
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if raw[hashes.len()..].starts_with('"') {
            let end = format!("\"{hashes}");
            let begin = rest.find('"').unwrap() + 1;
            begin + rest[begin..].find(&end).unwrap() + end.len()
        } else if first == '"' {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, char)| {
                let is_end = *char == '"' && !escaped;
                escaped = *char == '\\' && !escaped;
                is_end
            });
            let end = end.unwrap().0;
            tokens.push(rest[..end].to_owned());
            end + 1
        } else if first == '\'' {
            let mut chars = rest[1..].chars();
            match (chars.next().unwrap(), chars.next().unwrap()) {
                ('\\', escaped) => 2 + escaped.len_utf8() + rest[2 + escaped.len_utf8()..].find('\'').unwrap() + 1,
                (char, '\'') => 2 + char.len_utf8(),
                _ => 1,
            }
        } else {
            let len = if rest.starts_with("::") { 2 } else { name.max(first.len_utf8()) };
            if !first.is_whitespace() {
                tokens.push(rest[..len].to_owned());
            }
            len
        };
        rest = &rest[taken..];
    }
    tokens
}
