#define _GNU_SOURCE
#include "imports.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#define IS_IMPORT(type) ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT)
#elif defined(__aarch64__)
#define IS_IMPORT(type) ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT)
#else
#define IS_IMPORT(type) 0  /* nothing is replaced */
#endif

/* What the dynamic section of a library says. */
struct library {
	const struct link_map *map;
	const ElfW(Sym) *symbols;
	const char *names;
	const ElfW(Rela) *relocations[2];
	size_t sizes[2];
};

static const void *address_of(const struct link_map *map, const ElfW(Dyn) *entry)
{
	/* glibc has made most of them absolute. */
	ElfW(Addr) at = entry->d_un.d_ptr;
	return (const void *)(at < map->l_addr ? at + map->l_addr : at);
}

static struct library describe(const struct link_map *map)
{
	struct library library = {.map = map};
	for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
		switch (entry->d_tag) {
		case DT_SYMTAB:
			library.symbols = address_of(map, entry);
			break;
		case DT_STRTAB:
			library.names = address_of(map, entry);
			break;
		case DT_JMPREL:
			library.relocations[0] = address_of(map, entry);
			break;
		case DT_PLTRELSZ:
			library.sizes[0] = entry->d_un.d_val;
			break;
		case DT_RELA:
			library.relocations[1] = address_of(map, entry);
			break;
		case DT_RELASZ:
			library.sizes[1] = entry->d_un.d_val;
			break;
		default:
			break;
		}
	}
	return library;
}

struct range {
	ElfW(Addr) base, start, end;
};

static int find_read_only(struct dl_phdr_info *info, size_t size, void *data)
{
	struct range *range = data;
	(void)size;
	if (info->dlpi_addr != range->base) {
		return 0;
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
			range->start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			range->end = range->start + info->dlpi_phdr[i].p_memsz;
		}
	}
	return 1;
}

/* Write to an entry, which the linker may have made read-only when it was done. */
static bool write_entry(const struct link_map *map, void **entry, void *address)
{
	struct range read_only = {.base = map->l_addr};
	dl_iterate_phdr(find_read_only, &read_only);
	ElfW(Addr) at = (ElfW(Addr))entry;
	if (at < read_only.start || at >= read_only.end) {
		*entry = address;
		return true;
	}
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = (void *)(at & ~(ElfW(Addr))(page_size - 1));
	if (mprotect(page, page_size, PROT_READ | PROT_WRITE) < 0) {
		return false;
	}
	*entry = address;
	mprotect(page, page_size, PROT_READ);
	return true;
}

bool imports_replace(const void *inside, const char *name, void (*with)(void))
{
	Dl_info where;
	struct link_map *map = NULL;
	bool replaced = false;
	if (!dladdr1(inside, &where, (void **)&map, RTLD_DL_LINKMAP) || !map) {
		return false;
	}
	struct library library = describe(map);
	for (size_t part = 0; part < 2 && library.symbols && library.names; part++) {
		const ElfW(Rela) *relocation = library.relocations[part];
		size_t count = relocation ? library.sizes[part] / sizeof(*relocation) : 0;
		for (size_t i = 0; i < count; i++) {
			const ElfW(Sym) *symbol = &library.symbols[ELF64_R_SYM(relocation[i].r_info)];
			if (IS_IMPORT(ELF64_R_TYPE(relocation[i].r_info)) && strcmp(library.names + symbol->st_name, name) == 0) {
				void **entry = (void **)(map->l_addr + relocation[i].r_offset);
				replaced |= write_entry(map, entry, (void *)with);
			}
		}
	}
	return replaced;
}
