// SPDX-License-Identifier: GPL-2.0

//! What of the kernel is freed once it is up.

use livepatch_format::init::InitMemory;

fn memory(symbols: &[(&str, u64)]) -> Option<InitMemory> {
    InitMemory::find(|name| {
        let mut symbols = symbols.iter();
        symbols
            .find(|(symbol, _)| symbol.as_bytes() == name.to_bytes())
            .map(|&(_, address)| address)
    })
}

#[test]
fn init_memory_is_freed_but_for_marks_and_per_cpu_variables() {
    let memory = memory(&[
        ("__init_begin", 100),
        ("_sinittext", 100),
        ("_einittext", 120),
        ("__per_cpu_start", 150),
        ("__per_cpu_end", 160),
        ("__init_end", 200),
    ]);
    let memory = memory.unwrap();
    for (name, address, freed) in [
        ("f", 99, false),
        ("f", 100, true),
        ("d", 149, true),
        ("d", 150, false),
        ("d", 159, false),
        ("d", 160, true),
        ("d", 199, true),
        ("d", 200, false),
        ("__init_begin", 100, false),
        ("_einittext", 120, false),
        ("_edata", 100, false),
        ("__per_cpu_end", 160, false),
    ] {
        assert_eq!(
            memory.frees(name.as_bytes(), address),
            freed,
            "{name} {address}"
        );
    }
}

#[test]
fn with_functions_only_the_code_is_found() {
    let found = memory(&[("_sinittext", 100), ("_einittext", 120)]).unwrap();
    assert!(found.frees(b"f", 119) && !found.frees(b"f", 120));
    assert_eq!(memory(&[("_sinittext", 100)]), None);
}
