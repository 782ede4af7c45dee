/* A sound card for ALSA that hisses by the clock, belongs to one program at a time and is picky.
 *
 *   pcm_type.card { lib "…/sound_card.so" }
 *   pcm.NAME { type card lock FILE lowest_hz 8000 highest_hz 48000 refused_hz 0 }
 *
 * Like a real one it cannot be opened by who may not open FILE (EACCES) or while another program
 * holds a lock on FILE (EBUSY). refused_hz is a rate that it promises and then does not take.
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 10000000
#define MOST_BYTES (1 << 20)

typedef struct {
    snd_pcm_ioplug_t io;
    int lock_fd;
    long refused_hz;
    struct timespec began;
    unsigned int noise;
} card_t;

static int card_start(snd_pcm_ioplug_t *io) {
    card_t *card = io->private_data;
    struct itimerspec ticks = {{0, TICK_NS}, {0, TICK_NS}};
    clock_gettime(CLOCK_MONOTONIC, &card->began);
    return timerfd_settime(io->poll_fd, 0, &ticks, NULL) ? -errno : 0;
}

static int card_stop(snd_pcm_ioplug_t *io) {
    struct itimerspec never = {{0, 0}, {0, 0}};
    return timerfd_settime(io->poll_fd, 0, &never, NULL) ? -errno : 0;
}

static snd_pcm_sframes_t card_pointer(snd_pcm_ioplug_t *io) {
    card_t *card = io->private_data;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double s = now.tv_sec - card->began.tv_sec + 1e-9 * (now.tv_nsec - card->began.tv_nsec);
    return (snd_pcm_uframes_t)(s * io->rate) % io->buffer_size;
}

static snd_pcm_sframes_t card_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                       snd_pcm_uframes_t offset, snd_pcm_uframes_t size) {
    card_t *card = io->private_data;
    short *out = (short *)((char *)areas->addr + (areas->first + areas->step * offset) / 8);
    for (snd_pcm_uframes_t i = 0; i < size * io->channels; i++) {
        card->noise = card->noise * 1103515245 + 12345;
        out[i] = (short)(card->noise >> 16) / 256;
    }
    return size;
}

static int card_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned int count,
                        unsigned short *revents) {
    unsigned long long ticks;
    (void)count;
    if (fds->revents & POLLIN && read(io->poll_fd, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
        return -errno;
    *revents = fds->revents;
    return 0;
}

static int card_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *params) {
    card_t *card = io->private_data;
    (void)params;
    return io->rate == card->refused_hz ? -EINVAL : 0;
}

static int card_close(snd_pcm_ioplug_t *io) {
    card_t *card = io->private_data;
    close(io->poll_fd);
    close(card->lock_fd);
    free(card);
    return 0;
}

static const snd_pcm_ioplug_callback_t calls = {
    .start = card_start,
    .stop = card_stop,
    .pointer = card_pointer,
    .transfer = card_transfer,
    .poll_revents = card_revents,
    .hw_params = card_hw_params,
    .close = card_close,
};

static int constrain(snd_pcm_ioplug_t *io, long lowest_hz, long highest_hz) {
    static const unsigned int access[] = {SND_PCM_ACCESS_RW_INTERLEAVED};
    static const unsigned int format[] = {SND_PCM_FORMAT_S16_LE};
    int error = 0;
    error = error ?: snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 1, access);
    error = error ?: snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, format);
    error = error ?: snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, 1, 2);
    error = error ?: snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_RATE, lowest_hz,
                                                     highest_hz);
    error = error ?: snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 128,
                                                     MOST_BYTES);
    error = error ?: snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 256,
                                                     MOST_BYTES);
    return error ?: snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 1024);
}

SND_PCM_PLUGIN_DEFINE_FUNC(card) {
    const char *lock = NULL;
    long lowest_hz = 8000, highest_hz = 48000, refused_hz = 0;
    snd_config_iterator_t at, next;
    (void)root;
    if (stream != SND_PCM_STREAM_CAPTURE)
        return -ENOENT;
    snd_config_for_each(at, next, conf) {
        snd_config_t *entry = snd_config_iterator_entry(at);
        const char *id;
        if (snd_config_get_id(entry, &id) < 0)
            continue;
        if (!strcmp(id, "lock"))
            snd_config_get_string(entry, &lock);
        else if (!strcmp(id, "lowest_hz"))
            snd_config_get_integer(entry, &lowest_hz);
        else if (!strcmp(id, "highest_hz"))
            snd_config_get_integer(entry, &highest_hz);
        else if (!strcmp(id, "refused_hz"))
            snd_config_get_integer(entry, &refused_hz);
    }
    int lock_fd = open(lock, O_RDWR | O_CLOEXEC);
    if (lock_fd < 0)
        return -errno;
    if (flock(lock_fd, LOCK_EX | LOCK_NB)) {
        close(lock_fd);
        return -EBUSY;
    }
    card_t *card = calloc(1, sizeof *card);
    card->lock_fd = lock_fd;
    card->refused_hz = refused_hz;
    card->io.version = SND_PCM_IOPLUG_VERSION;
    card->io.name = "A picky sound card";
    card->io.callback = &calls;
    card->io.private_data = card;
    card->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    card->io.poll_events = POLLIN;
    int error = snd_pcm_ioplug_create(&card->io, name, stream, mode);
    if (error < 0) {
        card_close(&card->io);
        return error;
    }
    error = constrain(&card->io, lowest_hz, highest_hz);
    if (error < 0) {
        snd_pcm_ioplug_delete(&card->io);
        return error;
    }
    *pcmp = card->io.pcm;
    return 0;
}

SND_PCM_PLUGIN_SYMBOL(card);
