# Compiles src/**/*.c into the binary and the unit tests. Called by build.sh from the top folder:
#   make -f src/skua.mk FLAVOUR=musl skua      build/skua, the static binary, by musl-gcc
#   make -f src/skua.mk FLAVOUR=asan skua      build/skua-asan, under AddressSanitizer and UBSan, by gcc
#   make -f src/skua.mk FLAVOUR=asan unit      build/tests/unit/test_*, the same flavour
#   make -f src/skua.mk FLAVOUR=asan tidy      clang-tidy over every file that changed since it last passed
#   make -f src/skua.mk FLAVOUR=fuzz fuzz      build/tests/fuzz/fuzz_*, under libFuzzer and both sanitizers, by clang
# Objects are in build/obj/FLAVOUR; build/deps/{musl,host} has the libraries.

FLAVOUR ?= musl
B := build
OBJ := $(B)/obj/$(FLAVOUR)
GEN := $(B)/gen
VERSION := $(shell cat VERSION)
CLANG ?= clang-14

sources := $(shell find src -name '*.c' | LC_ALL=C sort)
objects := $(sources:src/%.c=$(OBJ)/%.o) $(OBJ)/embed.o $(OBJ)/client_files.o
embedded := $(sort $(wildcard lua/*.lua))
unit_sources := $(sort $(wildcard tests/unit/test_*.c))
unit_tests := $(unit_sources:%.c=$(B)/%)
fuzzers := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
tidied := $(sources:%.c=$(B)/tidy/%.ok)

CPPFLAGS := -D_GNU_SOURCE -Isrc -I$(GEN) -DSKUA_VERSION='"$(VERSION)"'
CFLAGS := -std=gnu11 -g -Wall -Wextra -Werror -fvisibility=hidden -ffunction-sections -fdata-sections \
	-ffile-prefix-map=$(CURDIR)=.
libraries := libwebsockets liblua libhiredis libhttp_parser libbearssl libz

ifeq ($(FLAVOUR),musl)
DEPS := $(realpath $(B)/deps/musl)
CC := musl-gcc
CPPFLAGS += -isystem $(DEPS)/include -idirafter $(DEPS)/kernel
CFLAGS += -O2 -fPIE -fno-plt -fstack-protector-strong
BINARY := $(B)/skua
else ifeq ($(FLAVOUR),fuzz)
DEPS := $(realpath $(B)/deps/host)
CC := $(CLANG)
CPPFLAGS += -isystem $(DEPS)/include
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
else
DEPS := $(realpath $(B)/deps/host)
CC := gcc
CPPFLAGS += -isystem $(DEPS)/include
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
BINARY := $(B)/skua-asan
endif
archives := $(libraries:%=$(DEPS)/lib/%.a)
COMPILE := $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP

.PHONY: skua objects unit fuzz tidy FORCE
.DELETE_ON_ERROR:
skua: $(BINARY)
objects: $(objects)
unit: $(unit_tests)
fuzz: $(fuzzers)
tidy: $(tidied)

# --- what the binary carries ---------------------------------------------------------------------

# lua/NAME.lua becomes embed_NAME and embed_NAME_size
symbol = $(subst -,_,$(notdir $(1:.lua=)))

$(GEN)/embed.h: $(OBJ)/lists
	@mkdir -p $(@D)
	@printf '%s\n' '/* The files lua/NAME.lua, each followed by a zero byte that its size does not count. */' \
		'#pragma once' '#include <stddef.h>' \
		$(foreach f,$(embedded),'extern const char embed_$(call symbol,$f)[];' \
			'extern const size_t embed_$(call symbol,$f)_size;') >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(GEN)/embed.S: $(OBJ)/lists
	@mkdir -p $(@D)
	@printf '%s\n' '.section .rodata' \
		$(foreach f,$(embedded),'.globl embed_$(call symbol,$f), embed_$(call symbol,$f)_size' \
			'.hidden embed_$(call symbol,$f), embed_$(call symbol,$f)_size' \
			'embed_$(call symbol,$f): .incbin "$f"' '0: .byte 0' '.balign 8' \
			'embed_$(call symbol,$f)_size: .quad 0b - embed_$(call symbol,$f)') \
		'.section .note.GNU-stack,"",%progbits' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(GEN)/versions.h: vendor/lock
	@mkdir -p $(@D)
	@awk 'BEGIN { print "/* The libraries inside, from vendor/lock, one a line. */\n#pragma once\n#define SKUA_LIB_VERSIONS \\" } \
		$$3 == "orig" { printf "    \"%s %s\\n\" \\\n", $$1, $$2 } END { print "    \"\"" }' $< >$@

$(OBJ)/embed.o: $(GEN)/embed.S $(embedded) $(OBJ)/flags
	@mkdir -p $(@D)
	@$(CC) -fPIE -c $< -o $@

# by vendor/deps.sh already, unless it was never called
$(GEN)/client/files.S:
	@vendor/client.sh

$(OBJ)/client_files.o: $(GEN)/client/files.S $(OBJ)/flags
	@mkdir -p $(@D)
	@$(CC) -fPIE -c $< -o $@

# --- objects -------------------------------------------------------------------------------------

# Rewritten only when they change: other flags rebuild everything, another set of files relinks.
$(shell mkdir -p $(OBJ))
$(OBJ)/flags: FORCE
	$(file >$@.new,$(COMPILE))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(OBJ)/lists: FORCE
	$(file >$@.new,$(sources) $(embedded))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(OBJ)/%.o: src/%.c $(OBJ)/flags | $(GEN)/embed.h $(GEN)/versions.h
	@mkdir -p $(@D)
	@echo 'cc ($(FLAVOUR)) $<'
	@$(COMPILE) -c $< -o $@

# All but main; with PARTIAL=1 only what has compiled, so that one broken file does not stop every unit test.
library_objects := $(filter-out $(OBJ)/main.o,$(objects))
ifdef PARTIAL
library_objects := $(wildcard $(library_objects))
endif

$(OBJ)/libskua.a: $(library_objects) $(OBJ)/lists
	@rm -f $@
	@gcc-ar rcs $@ $(filter %.o,$^)

# --- binaries ------------------------------------------------------------------------------------

# gcc has no switch that makes a static-pie against musl: "musl-gcc -static -static-pie" silently gives a fixed
# address, "-static-pie" alone a dynamic binary. So the start files are named one by one.
machine := $(shell gcc -dumpmachine)
musl := /usr/lib/$(machine:gnu=musl)
start := $(musl)/rcrt1.o $(musl)/crti.o $(shell gcc -print-file-name=crtbeginS.o)
end := $(shell gcc -print-file-name=crtendS.o) $(musl)/crtn.o

$(B)/skua: $(objects) $(OBJ)/lists $(archives) $(DEPS)/lib/mimalloc.o
	@echo 'ld $@'
	@gcc -nostdlib -static-pie -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--build-id=none \
		-o $(OBJ)/skua $(start) $(DEPS)/lib/mimalloc.o $(objects) $(archives) \
		-Wl,--start-group $(musl)/libc.a -lgcc -lgcc_eh -Wl,--end-group $(end)
	@readelf -hld $(OBJ)/skua >$(OBJ)/skua.elf
	@grep -q 'Type: *DYN' $(OBJ)/skua.elf || { echo '$@: not position independent' >&2; exit 1; }
	@! grep -E 'INTERP|NEEDED|TEXTREL' $(OBJ)/skua.elf || { echo '$@: not static' >&2; exit 1; }
	@strip -s -R .comment -o $@.new $(OBJ)/skua && mv $@.new $@

$(B)/skua-asan: $(objects) $(OBJ)/lists $(archives)
	@echo 'ld $@'
	@$(CC) $(CFLAGS) -o $@ $(objects) $(archives) -lm -lpthread

$(B)/tests/%: tests/%.c $(OBJ)/libskua.a $(OBJ)/flags $(archives)
	@mkdir -p $(@D)
	@rm -f $@
	@$(COMPILE) -MF $@.d -MT $@ -Itests/unit -o $@ $< $(OBJ)/libskua.a $(archives) -lcmocka -lm -lpthread

$(B)/tests/fuzz/%: tests/fuzz/%.c $(OBJ)/libskua.a $(OBJ)/flags $(archives)
	@mkdir -p $(@D)
	@echo 'ld $@'
	@$(COMPILE) -fsanitize=fuzzer -MF $@.d -MT $@ $(wrapped) -o $@ $< $(OBJ)/libskua.a $(archives) -lm -lpthread

# The loader's limit on time is in seconds: here it reads a clock that runs faster.
$(B)/tests/fuzz/fuzz_config: wrapped := -Wl,--wrap=clock_thread_cpu_us

# Wherever the client wants to go, it goes nowhere.
$(B)/tests/fuzz/fuzz_redis: wrapped := -Wl,--wrap=connect,--wrap=getaddrinfo

# --- clang-tidy ----------------------------------------------------------------------------------

$(B)/tidy/%.ok: %.c .clang-tidy $(OBJ)/flags | $(GEN)/embed.h $(GEN)/versions.h
	@mkdir -p $(@D)
	@clang-tidy --quiet $< -- $(CPPFLAGS) -std=gnu11 2>$@.log || { cat $@.log; exit 1; }
	@$(CC) $(CPPFLAGS) -std=gnu11 -MM -MP -MT $@ -MF $(@:.ok=.d) $<
	@touch $@

-include $(objects:.o=.d) $(unit_tests:%=%.d) $(fuzzers:%=%.d) $(tidied:.ok=.d)
