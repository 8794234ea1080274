/* SPDX-License-Identifier: Apache-2.0
 * Fibers, where they meet, shared memory and copies. */
#include "tests/fake_cuda/emulator/run.hh"

#include <new>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

namespace emulator {

position grid, block;

namespace {

constexpr int LANES = 32, THREADS_MAX = 1024, WARPS_MAX = THREADS_MAX / LANES;
constexpr size_t STACK_BYTES = 128 * 1024, SHARED_MAX = 99 * 1024;
constexpr unsigned char POISON = 0xff; /* NaN in every type */

struct pending_copy {
    uint32_t target;
    const void *source;
    int bytes, whole, group;
};

struct fiber {
    jmp_buf at; /* where it goes on */
    jmp_buf begin;
    bool made, done;
    unsigned meetings; /* that it has come to */
    int groups;        /* of copies that it has committed */
    std::vector<pending_copy> copies;
};

struct warp {
    int alive, come;    /* lanes; of them at the meeting that is under way */
    unsigned meetings;  /* that are over */
    enum meeting where; /* the one under way */
    int resume;         /* the lane that runs next */
    bool waits;         /* at a barrier */
    unsigned char slots[2][LANES][SLOT_BYTES];
};

/* What blocks of their own processes tell. */
struct word {
    volatile int failed;
    char what[128];
};

/* Seconds that blocks wait for each other at most, and polls of which one lets others go on. */
constexpr time_t PATIENCE = 120;
constexpr unsigned POLLS_AT_ONCE = 64;

word *own_word; /* NULL: this is no such block */
time_t begun;
fiber fibers[THREADS_MAX];
warp warps[WARPS_MAX];
int threads, current, alive_warps, waiting_warps, warp_step;
unsigned barriers; /* that are over */
bool all_held, held_result[2];
jmp_buf home;
const work *running;
unsigned char *stacks;
alignas(1024) unsigned char shared_memory[SHARED_MAX];
uint32_t shared_bytes;

warp &own_warp() {
    return warps[current / LANES];
}

[[noreturn]] void leave() {
    _longjmp(home, 1);
}

/* Not a fault of one lane: nothing can go on. */
[[noreturn]] void stuck(const char *what) {
    fault(what);
    leave();
}

__attribute__((noinline)) void go_to(int next) {
    if (next == current || _setjmp(fibers[current].at)) return;
    current = next;
    _longjmp(fibers[next].at, 1);
}

/* A lane of the current warp that has not come to its meeting. */
void next_lane() {
    const warp &w = own_warp();
    const int first = current / LANES * LANES;
    for (int i = 1; i < LANES; i++) {
        const int other = first + (current + i) % LANES;
        const fiber &f = fibers[other];
        if (!f.done && f.meetings == w.meetings) return go_to(other);
    }
    stuck("lanes of a warp wait for lanes that wait");
}

void next_warp() {
    const int count = threads / LANES, own = current / LANES;
    own_warp().resume = current;
    for (int i = 1; i <= count; i++) {
        const warp &w = warps[(own + i * warp_step) % count];
        if (w.alive > 0 && !w.waits) return go_to(w.resume);
    }
    stuck("all warps wait");
}

void release() {
    held_result[barriers % 2] = all_held;
    all_held = true;
    barriers++;
    waiting_warps = 0;
    for (int i = 0; i < threads / LANES; i++) warps[i].waits = false;
}

/* The last lane of its warp waits for the other warps. */
void wait_for_block() {
    const unsigned own = barriers;
    if (++waiting_warps == alive_warps) return release();
    own_warp().waits = true;
    while (barriers == own) next_warp();
}

void end_meeting(warp &w) {
    if (w.where == BARRIER) wait_for_block();
    w.come = 0;
    w.meetings++;
}

void land(const pending_copy &c) {
    unsigned char *line = shared_line(c.target, c.whole);
    memset(line, 0, static_cast<size_t>(c.whole));
    if (c.bytes > 0) memcpy(line, c.source, static_cast<size_t>(c.bytes));
}

void finish() {
    fiber &f = fibers[current];
    warp &w = own_warp();
    for (const pending_copy &c : f.copies)
        if (c.bytes >= 0) {
            fault("a thread returns while its copies are under way");
            break;
        }
    f.done = true;
    if (--w.alive > 0) {
        if (w.come == w.alive) end_meeting(w);
        next_lane();
    }
    if (--alive_warps == 0) leave();
    if (waiting_warps == alive_warps) release();
    next_warp();
}

/* Comes back to its beginning for every block. */
void fiber_main() {
    if (!_setjmp(fibers[current].begin)) leave();
    running->kernel(running->parameters);
    finish();
}

void make_fiber(int i) {
    ucontext_t context;
    if (_setjmp(home)) return;
    current = i;
    fibers[i].made = true;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + static_cast<size_t>(i) * STACK_BYTES;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, fiber_main, 0);
    setcontext(&context);
}

void prepare_fiber(int i) {
    fiber &f = fibers[i];
    if (!f.made) make_fiber(i);
    memcpy(&f.at, &f.begin, sizeof f.at);
    f.done = false;
    f.meetings = 0;
    f.groups = 0;
    f.copies.clear();
}

void run_block(unsigned index) {
    const int count = threads / LANES;
    memset(shared_memory, POISON, shared_bytes);
    for (int i = 0; i < threads; i++) prepare_fiber(i);
    for (int i = 0; i < count; i++) {
        warps[i].alive = LANES;
        warps[i].come = 0;
        warps[i].meetings = 0;
        warps[i].waits = false;
        warps[i].resume = i * LANES;
    }
    alive_warps = count;
    waiting_warps = 0;
    barriers = 0;
    all_held = true;
    warp_step = index % 2 ? count - 1 : 1; /* every other block backwards */
    if (warp_step == 0) warp_step = 1;
    if (_setjmp(home)) return;
    current = static_cast<int>(index) % count * LANES;
    _longjmp(fibers[current].at, 1);
}

} // namespace

position thread() {
    return {static_cast<unsigned>(current), 0, 0};
}

const unsigned char (*meet(enum meeting where, const void *mine, int bytes))[SLOT_BYTES] {
    warp &w = own_warp();
    fiber &f = fibers[current];
    const unsigned turn = f.meetings % 2;
    if (w.come > 0 && w.where != where) stuck("lanes of a warp meet in different places");
    w.where = where;
    if (bytes > 0) memcpy(w.slots[turn][current % LANES], mine, static_cast<size_t>(bytes));
    f.meetings++;
    if (++w.come == w.alive)
        end_meeting(w);
    else
        while (f.meetings != w.meetings) next_lane();
    return w.slots[turn];
}

bool barrier(bool held) {
    const unsigned own = barriers % 2;
    all_held = all_held && held;
    meet(BARRIER, nullptr, 0);
    return held_result[own];
}

unsigned char *shared_base() {
    return shared_memory;
}

uint32_t shared_offset(const void *pointer) {
    return static_cast<uint32_t>(static_cast<const unsigned char *>(pointer) - shared_memory);
}

unsigned char *shared_line(uint32_t address, int bytes) {
    static unsigned char none[16];
    const uint32_t size = static_cast<uint32_t>(bytes);
    if (address % size == 0 && address + size <= shared_bytes) return shared_memory + address;
    fault(address % size ? "shared memory is addressed off its lines" : "shared memory ends earlier");
    memset(none, POISON, sizeof none);
    return none;
}

void copy(uint32_t target, const void *source, int bytes, int whole) {
    fiber &f = fibers[current];
    memset(shared_line(target, whole), POISON, static_cast<size_t>(whole));
    if (bytes < 0 || bytes > whole ||
        (bytes > 0 && reinterpret_cast<uintptr_t>(source) % static_cast<unsigned>(whole)))
        fault("a copy of more than a line, or from no line");
    if (bytes > 0 && !readable(source, bytes)) return fault("a copy reads outside all allocations");
    f.copies.push_back({target, source, bytes, whole, f.groups});
}

void commit() {
    fibers[current].groups++;
}

void wait(int pending) {
    fiber &f = fibers[current];
    size_t kept = 0;
    for (size_t i = 0; i < f.copies.size(); i++) {
        if (f.copies[i].group < f.groups - pending)
            land(f.copies[i]);
        else
            f.copies[kept++] = f.copies[i];
    }
    f.copies.resize(kept);
}

void pause() {
    static unsigned polls;
    if (!own_word || ++polls % POLLS_AT_ONCE) return;
    next_warp();
    sched_yield();
    if (own_word->failed) leave();
    if (time(nullptr) - begun > PATIENCE) stuck("blocks wait for each other for ever");
}

bool leave_word(const char *what) {
    if (!own_word) return false;
    snprintf(own_word->what, sizeof own_word->what, "%s", what);
    own_word->failed = 1;
    return true;
}

/* Each block in a process. */
static void run_together(unsigned count) {
    void *page = mmap(nullptr, sizeof(word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return fault("no memory for what blocks tell");
    word *told = static_cast<word *>(page);
    std::vector<pid_t> blocks(count, -1);
    for (block.x = 0; block.x < count; block.x++) {
        blocks[block.x] = fork();
        if (blocks[block.x] < 0) told->failed = 1;
        if (blocks[block.x] != 0) continue;
        for (const int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
            signal(s, SIG_DFL); /* no test goes on here */
        own_word = told;
        begun = time(nullptr);
        run_block(block.x);
        _exit(told->failed);
    }
    for (const pid_t b : blocks) {
        int status = 0;
        if (b > 0 && (waitpid(b, &status, 0) != b || !WIFEXITED(status))) told->failed = 1;
    }
    if (told->failed)
        fault(told->what[0] ? told->what : "a block's process did not begin or come to its end");
    munmap(page, sizeof(word));
}

void run(const work *w) {
    if (!stacks) {
        void *area = mmap(nullptr, THREADS_MAX * STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (area == MAP_FAILED) return fault("no memory for threads' stacks");
        stacks = static_cast<unsigned char *>(area);
    }
    running = w;
    threads = w->threads;
    shared_bytes = w->shared_bytes;
    grid = {w->grid[0], w->grid[1], w->grid[2]};
    if (w->together) return run_together(grid.x);
    unsigned index = 0;
    for (block.z = 0; block.z < grid.z; block.z++)
        for (block.y = 0; block.y < grid.y; block.y++)
            for (block.x = 0; block.x < grid.x; block.x++) run_block(index++);
}

} // namespace emulator
