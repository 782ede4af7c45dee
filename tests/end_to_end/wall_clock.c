/* A wall clock that can be set without setting the machine's: LD_PRELOAD this into a program, and
 * name in WALL_CLOCK a file with the seconds by which CLOCK_REALTIME shall be ahead, or behind. All
 * other clocks are the kernel's. Who waits until a time of that clock, as PortAudio does for its
 * thread, waits by it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t ahead_s(void)
{
    char text[32] = "";
    const char *path = getenv("WALL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    return size > 0 ? (time_t)atoll(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead_s();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *result)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

static double until_s(const struct timespec *deadline, clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return difftime(deadline->tv_sec, now.tv_sec) + 1e-9 * (deadline->tv_nsec - now.tv_nsec);
}

/* A condition does not tell by which clock it waits: it is the one that is nearer to the deadline.
 * The kernel knows only its own wall clock, so all wait by the other. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict deadline)
{
    struct timespec end = *deadline, now = {0};
    double wall_s = until_s(deadline, CLOCK_REALTIME);
    double steady_s = until_s(deadline, CLOCK_MONOTONIC);
    if ((wall_s < 0 ? -wall_s : wall_s) < (steady_s < 0 ? -steady_s : steady_s)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        double end_s = (double)now.tv_nsec * 1e-9 + (wall_s > 0 ? wall_s : 0);
        end.tv_sec = now.tv_sec + (time_t)end_s;
        end.tv_nsec = (long)((end_s - (double)(time_t)end_s) * 1e9);
    }
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &end);
}
