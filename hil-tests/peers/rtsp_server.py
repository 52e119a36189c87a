#!/usr/bin/python3
"""Cameras whose video comes from picture files: one RTSP server (GStreamer's), one H.264 stream per camera.

    rtsp_server.py --port PORT --empty FILE CAMERA...

Pictures are raw I420 files of 1280 x 960 pixels. A clock runs in the upper left corner, in binary so that it is not
read as a plate, and beside it there is a small patch of noise, as a live camera has them. Prints `ready PORT` when it listens. Reads one order a line from standard
input and ends with it:

    show CAMERA FILE    the picture from now on
    empty CAMERA        the empty road again
    freeze CAMERA       nothing changes any more, not even the clock
    stall CAMERA        no pictures any more, the connection stays
    resume CAMERA       ends freeze and stall
"""

import argparse
import os
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtspServer  # noqa: E402,F401

WIDTH, HEIGHT, FPS = 1280, 960, 12
FRAME_BYTES = WIDTH * HEIGHT * 3 // 2
# Side of a square of the clock, pixels.
SQUARE = 8
PIPELINE = (
    "( appsrc name=source is-live=true format=time do-timestamp=true block=false max-bytes={max_bytes} "
    "leaky-type=downstream caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 "
    # Constant quality: a frozen picture is coded the same way again and again, as a hanging camera does.
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=6 pass=quant quantizer=22 threads=1 "
    "! video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
).format(max_bytes=4 * FRAME_BYTES, width=WIDTH, height=HEIGHT, fps=FPS)


def draw_clock(frame, second):
    """The seconds as white and black squares, 20 pixels from the upper left corner, into the brightness plane."""
    row = b"".join((b"\xeb" if second >> bit & 1 else b"\x10") * SQUARE for bit in reversed(range(8)))
    for y in range(20, 20 + SQUARE):
        at = y * WIDTH + 20
        frame[at:at + len(row)] = row


def draw_noise(frame):
    noise = os.urandom(32 * 16)
    for y in range(16):
        at = (20 + y) * WIDTH + 140
        frame[at:at + 32] = noise[y * 32:(y + 1) * 32]


class Camera(GstRtspServer.RTSPMediaFactory):
    """One camera. Its pipeline exists while somebody watches."""

    def __init__(self, empty):
        super().__init__()
        self.empty = empty
        self.frame = bytearray(empty)
        self.frozen = False
        self.stalled = False
        self.source = None
        self.second = None
        self.set_launch(PIPELINE)
        self.set_shared(True)
        self.connect("media-configure", self.on_media)

    def on_media(self, _factory, media):
        source = media.get_element().get_by_name("source")
        media.connect("unprepared", self.on_unprepared, source)
        self.source = source

    def on_unprepared(self, _media, source):
        if self.source is source:
            self.source = None

    def show(self, picture):
        self.frame[:] = picture
        self.second = None

    def push(self):
        if self.source is None or self.stalled:
            return
        if not self.frozen:
            second = int(time.monotonic()) % 256
            if second != self.second:
                self.second = second
                draw_clock(self.frame, second)
            draw_noise(self.frame)
        self.source.emit("push-buffer", Gst.Buffer.new_wrapped(bytes(self.frame)))


def obey(cameras, line):
    words = line.split(" ", 2)
    camera = cameras.get(words[1]) if len(words) > 1 else None
    if camera is None:
        print(f"no such camera: {line}", file=sys.stderr)
    elif words[0] == "show":
        with open(words[2], "rb") as file:
            picture = file.read()
        if len(picture) == FRAME_BYTES:
            camera.show(picture)
        else:
            print(f"{words[2]}: {len(picture)} bytes, expected {FRAME_BYTES}", file=sys.stderr)
    elif words[0] == "empty":
        camera.show(camera.empty)
    elif words[0] == "freeze":
        camera.frozen = True
    elif words[0] == "stall":
        camera.stalled = True
    elif words[0] == "resume":
        camera.frozen = camera.stalled = False
    else:
        print(f"no such order: {line}", file=sys.stderr)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", default="0")
    arguments.add_argument("--empty", required=True)
    arguments.add_argument("cameras", nargs="+")
    arguments = arguments.parse_args()
    Gst.init(None)
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    with open(arguments.empty, "rb") as file:
        empty = file.read()
    if len(empty) != FRAME_BYTES:
        sys.exit(f"{arguments.empty}: {len(empty)} bytes, expected {FRAME_BYTES}")
    cameras = {name: Camera(empty) for name in arguments.cameras}
    for name, camera in cameras.items():
        server.get_mount_points().add_factory("/" + name, camera)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {arguments.port}")

    def tick():
        for camera in cameras.values():
            camera.push()
        return True

    pending = bytearray()

    def order(descriptor, condition):
        data = os.read(descriptor, 4096)
        if not data:
            loop.quit()
            return False
        pending.extend(data)
        while b"\n" in pending:
            line, _, rest = bytes(pending).partition(b"\n")
            pending[:] = rest
            try:
                obey(cameras, line.decode().strip())
            except OSError as error:
                print(error, file=sys.stderr)
        return True

    GLib.timeout_add(1000 // FPS, tick)
    GLib.io_add_watch(0, GLib.IO_IN | GLib.IO_HUP, order)
    print("ready", server.get_bound_port(), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
