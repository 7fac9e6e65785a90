// A stand-in for CUDA's runtime (-DRUNTIME) and for NCCL: as much of their interfaces as the library uses, in host memory, for ranks that are threads.
// It checks arguments as nccl.h 2.19 declares them. Operations are done when the call returns, or (standin_stuck) never, until their communicator is aborted.
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RANKS 16

#ifdef RUNTIME
typedef struct { int device, stuck, timed; double at; } Event;
static int events;
int standin_events(void) { return events; }
int standin_is_stuck, standin_aborted[RANKS];
static __thread int current = -1;
int standin_device(void) { return current; }
const char* cudaGetErrorString(int code) { return code == 101 ? "invalid device ordinal" : "some error"; }
int cudaSetDevice(int device) { if (device < 0 || device >= RANKS) return 101; current = device; return 0; }
int cudaGetDevice(int* device) { *device = current < 0 ? 0 : current; return 0; }
int cudaMemGetInfo(size_t* free, size_t* total) { *total = (size_t)80 << 30; *free = *total - ((size_t)(current + 1) << 30); return 0; }
int cudaEventCreateWithFlags(Event** made, unsigned flags) { *made = calloc(1, sizeof(Event)); (*made)->timed = flags == 0; __sync_add_and_fetch(&events, 1); return flags == 2 || flags == 0 ? 0 : 1; }
int cudaEventDestroy(Event* event) { free(event); __sync_sub_and_fetch(&events, 1); return 0; }
int cudaEventRecord(Event* event, void* stream) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event->at = now.tv_sec * 1e3 + now.tv_nsec * 1e-6; event->device = current; event->stuck = standin_is_stuck;
    return stream == 0 && current >= 0 ? 0 : 1;
}
int cudaEventSynchronize(Event* event) { return event->at > 0 ? 0 : 400; }
int cudaEventElapsedTime_v2(float* milliseconds, Event* first, Event* second) {
    if (!first->timed || !second->timed || first->device != second->device || first->device != current) return 400;
    *milliseconds = (float)(second->at - first->at);
    return 0;
}
int cudaEventQuery(Event* event) { return event->stuck && !standin_aborted[event->device] ? 600 : 0; }
#else
extern int standin_is_stuck, standin_aborted[RANKS];
int standin_device(void);

typedef struct { char internal[128]; } UniqueId;
typedef struct { size_t size; unsigned magic, version; int blocking, cga, min, max; const char* net; int share; } Config;
typedef struct World {
    struct World* next; UniqueId id; int ranks, came, round, splits, colors[RANKS]; const void* in[RANKS]; void* out[RANKS]; size_t count[RANKS]; int type[RANKS];
    struct { const void* data; size_t bytes; int state; } box[RANKS][RANKS];
} World;
typedef struct { World* world; int rank, device, asked; } Comm;
typedef struct { int receive, peer; void* data; size_t bytes; Comm* comm; } Part;

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static World* worlds;
static int ids, late_error, aborts, destroyed;
static __thread int depth, parts_count;
static __thread Part parts[2 * RANKS];

enum { Success = 0, InvalidArgument = 4, InvalidUsage = 5, InProgress = 7 };

void standin_stuck(int stuck) { standin_is_stuck = stuck; memset(standin_aborted, 0, sizeof standin_aborted); }
void standin_error(int code) { late_error = code; }
int standin_aborts(void) { return aborts; }
int standin_destroyed(void) { return destroyed; }

static size_t size_of(int type) { return type == 7 ? 4 : type == 4 || type == 8 ? 8 : type == 9 ? 2 : 0; }
static void meet(World* w) {
    int round = w->round;
    if (++w->came == w->ranks) { w->came = 0; w->round++; pthread_cond_broadcast(&changed); }
    else while (w->round == round) pthread_cond_wait(&changed, &gate);
}
static Comm* join(UniqueId id, int ranks, int rank) {
    World* w = worlds;
    while (w && memcmp(&w->id, &id, sizeof id)) w = w->next;
    if (!w) { w = calloc(1, sizeof *w); w->id = id; w->ranks = ranks; w->next = worlds; worlds = w; }
    Comm* c = calloc(1, sizeof *c);
    c->world = w; c->rank = rank; c->device = standin_device();
    return c;
}
static int bad(Comm* c, const void* data, int type, void* stream) { return c->asked < 2 || stream != 0 || !size_of(type) || c->device != standin_device() || !data; }

const char* ncclGetErrorString(int code) { return code == InvalidArgument ? "invalid argument" : "some error"; }
int ncclGetUniqueId(UniqueId* id) { memset(id, 7, sizeof *id); pthread_mutex_lock(&gate); memcpy(id->internal + 124, &(int){++ids}, 4); pthread_mutex_unlock(&gate); return Success; }
int ncclCommInitRankConfig(Comm** made, int ranks, UniqueId id, int rank, Config* config) {
    if (config->size != sizeof(Config) || config->magic != 0xcafebeef || config->version != 21900 || config->blocking != 0 || rank >= ranks) return InvalidArgument;
    if (config->cga != INT32_MIN || config->min != INT32_MIN || config->max != INT32_MIN || config->net || config->share != INT32_MIN) return InvalidArgument;
    pthread_mutex_lock(&gate);
    *made = join(id, ranks, rank);
    pthread_mutex_unlock(&gate);
    return InProgress;
}
int ncclCommSplit(Comm* c, int color, int key, Comm** made, Config* config) {
    if (color < 0 || key != c->rank || config) return InvalidArgument;
    pthread_mutex_lock(&gate);
    World* w = c->world;
    w->colors[c->rank] = color;
    meet(w);
    int rank = 0, ranks = 0;
    for (int r = 0; r < w->ranks; r++) if (w->colors[r] == color) { if (r < c->rank) rank++; ranks++; }
    UniqueId id = w->id;
    int path[3] = { w->splits, color, 1 };
    for (int n = 0; n < 120; n += 12) if (!memcmp(id.internal + n, (char[12]){7,7,7,7,7,7,7,7,7,7,7,7}, 12)) { memcpy(id.internal + n, path, 12); break; }
    *made = join(id, ranks, rank);
    meet(w);
    if (c->rank == 0) w->splits++;
    meet(w);
    pthread_mutex_unlock(&gate);
    return InProgress;
}
int ncclCommCount(Comm* c, int* ranks) { *ranks = c->world->ranks; return Success; }
int ncclCommUserRank(Comm* c, int* rank) { *rank = c->rank; return Success; }
int ncclCommGetAsyncError(Comm* c, int* state) { *state = c->asked++ ? late_error : InProgress; return Success; }
int ncclCommFinalize(Comm* c) { return InProgress; }
int ncclCommDestroy(Comm* c) { pthread_mutex_lock(&gate); destroyed++; pthread_mutex_unlock(&gate); free(c); return Success; }
int ncclCommAbort(Comm* c) { pthread_mutex_lock(&gate); aborts++; standin_aborted[c->device] = 1; pthread_mutex_unlock(&gate); free(c); return Success; }

static void add(void* sum, const void* other, size_t count, int type) {
    for (size_t n = 0; n < count; n++) {
        if (type == 7) ((float*)sum)[n] += ((const float*)other)[n];
        else if (type == 8) ((double*)sum)[n] += ((const double*)other)[n];
        else ((int64_t*)sum)[n] += ((const int64_t*)other)[n];
    }
}
// what: 0 all-reduce, 1 reduce-scatter, 2 all-gather, 3 + root broadcast
static int collective(int what, const void* in, void* out, size_t count, int type, Comm* c, void* stream) {
    if (bad(c, in, type, stream) || bad(c, out, type, stream) || !count || depth) return InvalidArgument;
    if (standin_is_stuck) return Success;
    World* w = c->world;
    size_t bytes = count * size_of(type);
    pthread_mutex_lock(&gate);
    w->in[c->rank] = in; w->count[c->rank] = count; w->type[c->rank] = type;
    meet(w);
    char* made = calloc(bytes, what == 2 ? w->ranks : 1);
    int same = 1;
    for (int r = 0; r < w->ranks; r++) {
        same &= w->count[r] == count && w->type[r] == type;
        if (what == 0) add(made, w->in[r], count, type);
        if (what == 1) add(made, (const char*)w->in[r] + c->rank * bytes, count, type);
        if (what == 2) memcpy(made + r * bytes, w->in[r], bytes);
        if (what == 3 + r) memcpy(made, w->in[r], bytes);
    }
    meet(w);
    memcpy(out, made, bytes * (what == 2 ? w->ranks : 1));
    free(made);
    meet(w);
    pthread_mutex_unlock(&gate);
    return same ? Success : InvalidUsage;
}
int ncclAllReduce(const void* in, void* out, size_t count, int type, int op, Comm* c, void* stream) { return op || type == 9 ? InvalidArgument : collective(0, in, out, count, type, c, stream); }
int ncclReduceScatter(const void* in, void* out, size_t count, int type, int op, Comm* c, void* stream) { return op || type == 9 ? InvalidArgument : collective(1, in, out, count, type, c, stream); }
int ncclAllGather(const void* in, void* out, size_t count, int type, Comm* c, void* stream) { return collective(2, in, out, count, type, c, stream); }
int ncclBroadcast(const void* in, void* out, size_t count, int type, int root, Comm* c, void* stream) { return collective(3 + root, in, out, count, type, c, stream); }

static int note(int receive, void* data, size_t count, int type, int peer, Comm* c, void* stream) {
    if (bad(c, data, type, stream) || !count || !depth || peer < 0 || peer >= c->world->ranks || parts_count == 2 * RANKS) return InvalidArgument;
    parts[parts_count++] = (Part){ receive, peer, data, count * size_of(type), c };
    return Success;
}
int ncclSend(void* data, size_t count, int type, int peer, Comm* c, void* stream) { return note(0, data, count, type, peer, c, stream); }
int ncclRecv(void* data, size_t count, int type, int peer, Comm* c, void* stream) { return note(1, data, count, type, peer, c, stream); }
int ncclGroupStart(void) { depth++; return Success; }
int ncclGroupEnd(void) {
    int code = Success;
    if (--depth) return InvalidUsage;
    pthread_mutex_lock(&gate);
    for (int n = 0; n < parts_count; n++) if (!parts[n].receive) {
        World* w = parts[n].comm->world;
        int from = parts[n].comm->rank, to = parts[n].peer;
        w->box[from][to].data = parts[n].data; w->box[from][to].bytes = parts[n].bytes; w->box[from][to].state = 1;
    }
    pthread_cond_broadcast(&changed);
    for (int n = 0; n < parts_count && !standin_is_stuck; n++) if (parts[n].receive) {
        World* w = parts[n].comm->world;
        int from = parts[n].peer, to = parts[n].comm->rank;
        while (w->box[from][to].state != 1) pthread_cond_wait(&changed, &gate);
        if (w->box[from][to].bytes != parts[n].bytes) code = InvalidUsage;
        else memcpy(parts[n].data, w->box[from][to].data, parts[n].bytes);
        w->box[from][to].state = 2;
        pthread_cond_broadcast(&changed);
    }
    for (int n = 0; n < parts_count && !standin_is_stuck; n++) if (!parts[n].receive) {
        World* w = parts[n].comm->world;
        int from = parts[n].comm->rank, to = parts[n].peer;
        while (w->box[from][to].state != 2) pthread_cond_wait(&changed, &gate);
        w->box[from][to].state = 0;
    }
    parts_count = 0;
    pthread_mutex_unlock(&gate);
    return code ? code : InProgress;
}
#endif
