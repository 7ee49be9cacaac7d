// A timerfd on CLOCK_REALTIME, which the kernel also makes readable when somebody sets the clock.
#include "broker/rail/alarm.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct alarm {
    uv_poll_t poll;
    int fd;
    void (*ring)(void *ctx);
    void *ctx;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct alarm *alarm = poll->data;
    uint64_t times;
    ssize_t len = read(alarm->fd, &times, sizeof times);

    (void)status;
    (void)events;
    (void)len; // ECANCELED says that the clock was set: a reason to look at it like any other
    alarm->ring(alarm->ctx);
}

struct alarm *alarm_open(uv_loop_t *loop, void (*ring)(void *ctx), void *ctx)
{
    struct alarm *alarm = calloc(1, sizeof *alarm);

    if (alarm == NULL)
        abort();
    alarm->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (alarm->fd < 0)
        abort(); // out of descriptors or memory
    alarm->ring = ring;
    alarm->ctx = ctx;
    uv_poll_init(loop, &alarm->poll, alarm->fd);
    alarm->poll.data = alarm;
    uv_poll_start(&alarm->poll, UV_READABLE, on_readable);
    return alarm;
}

void alarm_set(struct alarm *alarm, int64_t at_us)
{
    struct itimerspec when = {0};

    if (at_us != ALARM_NEVER) {
        if (at_us < 1)
            at_us = 1; // 0 would turn it off
        when.it_value.tv_sec = at_us / 1000000;
        when.it_value.tv_nsec = at_us % 1000000 * 1000;
    }
    if (timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL) != 0)
        abort(); // the arguments are ours
}

static void on_closed(uv_handle_t *handle)
{
    struct alarm *alarm = handle->data;

    close(alarm->fd);
    free(alarm);
}

void alarm_close(struct alarm *alarm)
{
    if (alarm != NULL)
        uv_close((uv_handle_t *)&alarm->poll, on_closed);
}
