// SPDX-License-Identifier: GPL-2.0

//! What the kernel's own module loader refuses, in its words.

use super::finding::{Finding, Place};
use super::Lint;
use crate::file::module::Module;
use crate::vermagic::Vermagic;
use livepatch_format::elf::SHN_UNDEF;
use livepatch_format::name::{Text, VMLINUX};
use object::elf;
use std::collections::BTreeSet;

/// What the loader takes care of itself.
const LOADER_SYMBOLS: [&[u8]; 1] = [b"_GLOBAL_OFFSET_TABLE_"];

/// Checks what the module was built for.
pub(super) fn vermagic(lint: &mut Lint<'_>) {
    let Some(kernel) = &lint.knowledge.vermagic else {
        return;
    };
    let module = lint.module;
    let has_versions = ["__versions", "__version_ext_crcs"].iter().any(|name| {
        module
            .contents(name.as_bytes())
            .is_some_and(|data| !data.is_empty())
    });
    let own = module.info(b"vermagic");
    // A module without one is loaded, and taints the kernel.
    let Some(own) = own else {
        let message = "it has no vermagic: the kernel cannot tell what it was built for";
        lint.push(Finding::warning(
            "vermagic",
            message.into(),
            Place::section(b".modinfo"),
        ));
        return;
    };
    if !kernel.is_same(own, has_versions) {
        let message = format!(
            "{}: version magic '{}' should be '{}'",
            Text(module.name()),
            Text(own),
            Text(kernel.text())
        );
        let finding = Finding::kernel("vermagic", "ENOEXEC", message, Place::section(b".modinfo"));
        lint.push(match kernel {
            Vermagic::Whole(_) => finding,
            Vermagic::Release(_) => finding.help("of the kernel, the release only is known"),
        });
    }
}

/// Checks that what the module imports is exported.
pub(super) fn imports(lint: &mut Lint<'_>) {
    let module = lint.module;
    let Some(symvers) = &lint.knowledge.symvers else {
        return;
    };
    let kernel = lint
        .knowledge
        .kernel()
        .filter(|kernel| kernel.symbols.has_exports());
    let vmlinux = String::from_utf8_lossy(VMLINUX);
    if kernel.is_none() && !symvers.knows(&vmlinux) {
        return lint.unchecked(
            "whether the symbols that it imports are exported: no Module.symvers of the kernel \
             is given"
                .to_owned(),
        );
    }
    let (mut missing, mut closed) = (Vec::new(), Vec::new());
    for name in imported(module) {
        if let Some(namespace) = symvers.namespace(name) {
            let import = (b"import_ns".as_slice(), namespace);
            if symvers.is_reserved(name) || !module.infos().any(|info| info == import) {
                closed.push((name, namespace));
            }
            continue;
        }
        let exported = symvers.exporter(name).is_some()
            || kernel.is_some_and(|kernel| kernel.symbols.exports(name));
        if exported || LOADER_SYMBOLS.contains(&name) {
            continue;
        }
        missing.push(name);
    }
    for (name, namespace) in closed {
        let help = match symvers.is_reserved(name) {
            true => "klp convert makes livepatch symbols of those for other modules".to_owned(),
            false => format!("MODULE_IMPORT_NS(\"{}\") imports it", Text(namespace)),
        };
        let (module, symbol, namespace) = (Text(module.name()), Text(name), Text(namespace));
        let message = format!(
            "{module}: module uses symbol ({symbol}) from namespace {namespace}, but does not import it.\n\
             {module}: Unknown symbol {symbol} (err -22)"
        );
        let place = Place::default().symbol(name);
        let finding = Finding::kernel("symbol-namespace", "EINVAL", message, place);
        lint.push(finding.help(help));
    }
    for name in missing {
        if name.starts_with(b"klp_") && !symvers.knows("livepatch") {
            lint.unchecked(format!(
                "whether {} is exported: no Module.symvers of livepatch.ko is given",
                Text(name)
            ));
            continue;
        }
        let (module, symbol) = (Text(module.name()), Text(name));
        let message = format!("{module}: Unknown symbol {symbol} (err -2)");
        let place = Place::default().symbol(name);
        let finding = Finding::kernel("unknown-symbol", "ENOENT", message, place);
        lint.push(
            finding.help("klp convert makes livepatch symbols of those that are not exported"),
        );
    }
}

/// The symbols that are to be found elsewhere, and have to be.
fn imported<'a>(module: &Module<'a>) -> BTreeSet<&'a [u8]> {
    let undefined = module.symbols().iter().filter(|(_, symbol)| {
        let is_weak = elf::SymbolInfo(symbol.st_info).st_bind() == elf::STB_WEAK;
        symbol.st_shndx == SHN_UNDEF && !is_weak
    });
    undefined
        .map(|(_, symbol)| module.symbol_name(&symbol))
        .filter(|name| !name.is_empty())
        .collect()
}
