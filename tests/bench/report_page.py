#!/usr/bin/env python3
"""How a large report behaves in a browser: 200 cells, 50,000 samples in scatter plots.

    python3 tests/bench/report_page.py build/release/bin/bissl [--keep FOLDER] [--check]

Makes the results of 200 runs with five repeats each and an analyse stage's pictures of 5 · 2 · 5,000
samples with thumbnails, has `bissl report` write the page, and opens it in headless Chromium. Prints
the sizes, the milliseconds from the call of the page until it answers (the load event, two frames
and an empty queue), and what a look at a sample by pointer and by key takes. With --check it exits
with 1 where the page is beyond LIMITS or does not work, and with 77 where there is no Chromium.
"""
import argparse
import http.server
import json
import math
import pathlib
import queue
import random
import shutil
import struct
import subprocess
import tempfile
import threading
import zlib

CELLS, REPEATS, SAMPLES, SIDE = 200, 5, 5000, 12
SKIPPED = 77
# Bytes, milliseconds, and elements: fewer than there are samples, which are none.
LIMITS = {"page_bytes": 10_000_000, "interactive": 10_000, "pointer": 100, "key": 100, "nodes": 50_000}

WATCH = """<script>
window.faults=[];addEventListener("error",event=>faults.push(event.message));
addEventListener("load",()=>requestAnimationFrame(()=>requestAnimationFrame(()=>setTimeout(async()=>{
  const answer={interactive:performance.now(),nodes:document.querySelectorAll("*").length};
  const box=document.querySelectorAll(".spots")[1],canvas=box.querySelector("canvas");
  let begin=performance.now();
  box.scrollIntoView({block:"center"});
  await new Promise(done=>setTimeout(done,300));
  const rect=canvas.getBoundingClientRect();
  const point=(dx,dy)=>canvas.dispatchEvent(new PointerEvent("pointermove",
    {bubbles:true,clientX:rect.x+rect.width/4+dx,clientY:rect.y+rect.height/2+dy}));
  point(0,0);
  begin=performance.now();
  for(let i=0;i<50;++i)point(3*(i%10),2*i);
  answer.pointer=(performance.now()-begin)/50;
  answer.tip=document.getElementById("tip").textContent;
  answer.thumbnail=document.querySelectorAll("#tip canvas").length;
  box.focus();
  begin=performance.now();
  for(let i=0;i<50;++i)box.dispatchEvent(new KeyboardEvent("keydown",{key:i%2?"ArrowDown":"ArrowRight"}));
  answer.key=(performance.now()-begin)/50;
  answer.said=box.querySelector(".said").textContent;
  answer.faults=faults;
  fetch("/answer",{method:"POST",body:JSON.stringify(answer)});
},0))));
</script>"""


def png(side, random_source):
    """A grid of noise, as large as thumbnails of real images are."""
    columns = math.ceil(math.sqrt(SAMPLES))
    width = columns * side
    rows = b"".join(b"\0" + bytes(random_source.randrange(112, 120) for _ in range(3 * width))
                    for _ in range(width))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b""))


def picture(random_source):
    lines = ["network,sample,class,x,y"]
    for network in ("bissl", "longer"):
        for i in range(SAMPLES):
            turn = 2 * math.pi * (i % 10) / 10
            lines.append('"%s","class-%d/image-%05d.jpg","class %d",%.5g,%.5g' % (
                network, i % 10, i, i % 10, 4 * math.cos(turn) + random_source.gauss(0, 1),
                4 * math.sin(turn) + random_source.gauss(0, 1)))
    return "\n".join(lines) + "\n"


def stage(kind, name, values):
    """A stage's results with one metric on data.test."""
    return {"format": 3, "kind": kind, "from": "", "key": "made", "logs": [], "losses": [],
            "repeats": len(values), "seconds": 1.0,
            "metrics": {"test": {name: {"mean": sum(values) / len(values), "std": 0.0,
                                        "higher_is_better": True}}},
            "per_repeat": [{"test": {name: value}} for value in values]}


def write_runs(folder, random_source):
    runs = []
    for cell in range(CELLS):
        run = folder / ("cell-%03d" % cell)
        run.mkdir(parents=True)
        values = [0.6 + 0.2 * random_source.random() for _ in range(REPEATS)]
        stages = {"finetune": stage("finetune", "top1", values)}
        if cell == 0:
            stages["look"] = stage("analyse", "rankme", [12.5])
            (run / "look").mkdir()
            for name in ("pca-test", "tsne-test", "pca-train", "tsne-train", "pca-other"):
                (run / "look" / (name + ".csv")).write_text(picture(random_source))
            for name in ("test", "train"):
                (run / "look" / ("thumbnails-%s.png" % name)).write_bytes(png(SIDE, random_source))
        (run / "results.json").write_text(json.dumps({"pipeline": "made", "seed": 0, "stages": stages}))
        runs.append(str(run))
    return runs


def ask(page, profile):
    """Opens a page in Chromium from a server of our own and waits for what it posts."""
    answers = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode() if self.path == "/" else b"")

        def do_POST(self):
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900",
             "--user-data-dir=%s" % profile, "http://127.0.0.1:%d/" % server.server_address[1]],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return answers.get(timeout=120)
        except queue.Empty:
            raise SystemExit("the page has not answered within 120 s") from None
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()


def mistakes_in(answer):
    """What is wrong with a page that has answered so, in words."""
    found = ["%s is %.6g, and may be %d at most" % (name, answer[name], limit)
             for name, limit in LIMITS.items() if answer[name] > limit]
    found += ["a script failed: %s" % fault for fault in answer["faults"]]
    if "image-" not in answer["tip"] or answer["thumbnail"] != 1:
        found.append("the pointer finds no sample with a name and a thumbnail: %r" % answer["tip"])
    if "image-" not in answer["said"]:
        found.append("keys find no sample with a name: %r" % answer["said"])
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bissl")
    parser.add_argument("--keep", help="the folder to work in, which is left")
    parser.add_argument("--check", action="store_true", help="exit with 1 beyond the limits")
    arguments = parser.parse_args()
    if arguments.check and not shutil.which("chromium"):
        print("report_page: skipped, Debian's package chromium is not installed")
        raise SystemExit(SKIPPED)
    # Processes of the browser may outlive it for a moment and write to its profile.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = pathlib.Path(arguments.keep or scratch)
        runs = write_runs(folder / "runs", random.Random(1))
        made = subprocess.run([arguments.bissl, "report", *runs, "--to", str(folder)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if made.returncode != 0:
            raise SystemExit(made.stderr)
        page = (folder / "report.html").read_text()
        answer = ask(page.replace("<title>", WATCH + "<title>", 1), folder / "profile")
        answer["page_bytes"] = len(page.encode())
        print(json.dumps(answer, indent=1))
        if arguments.check and (mistakes := mistakes_in(answer)):
            raise SystemExit("\n".join(mistakes))


main()
