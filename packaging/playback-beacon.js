/*
 * Tells the Sitekeeper agent of the PC that shows this page how its <video> and <audio> elements play; what is played is not told.
 * Where no agent answers, nothing happens. docs/playback-beacon.md says how a portal uses it.
 *
 *   <script src="playback-beacon.js" data-port="8766"></script>
 *
 * SPDX-License-Identifier: Apache-2.0
 */
(function () {
  "use strict";
  var me = document.currentScript;
  var agent = "http://127.0.0.1:" + ((me && me.getAttribute("data-port")) || "8766");
  var EVERY_MS = 5000, FROZEN_MS = 2000, RETRY_MS = 15000, OLD_MS = 60000, MOST = 16;
  var ON = { loading: 1, seeking: 1, playing: 1, waiting: 1, paused: 1 };
  var queue = [], token = "", busy = false, answered = false, gone = false, retryAt = 0, sentAt = 0, soon = 0;
  var current = null, word = "", position = -1, movedAt = 0;

  function now() { return window.performance && performance.now ? performance.now() : new Date().getTime(); }

  function number(value) { return typeof value === "number" && isFinite(value) && value >= 0 ? Math.round(value * 10) / 10 : null; }

  function ahead(element) {
    var at = element.currentTime, ranges = element.buffered, i;
    for (i = 0; i < ranges.length; i += 1) {
      if (ranges.start(i) <= at + 0.1 && ranges.end(i) >= at) { return ranges.end(i) - at; }
    }
    return 0;
  }

  function dropped(element) {
    var quality = element.getVideoPlaybackQuality ? element.getVideoPlaybackQuality().droppedVideoFrames : element.webkitDroppedFrameCount;
    return typeof quality === "number" ? quality : null;
  }

  function push(code, at) {
    queue.push({
      word: word, at: at || now(), code: code || null, position_s: number(current.currentTime), length_s: number(current.duration),
      buffered_s: number(ahead(current)), dropped: dropped(current)
    });
    if (queue.length > MOST) { queue.shift(); }
  }

  function body() {
    var at = now(), events = [], i, item;
    for (i = 0; i < queue.length; i += 1) {
      item = queue[i];
      events.push({
        word: item.word, age_ms: Math.min(OLD_MS, Math.max(0, Math.round(at - item.at))), code: item.code,
        position_s: item.position_s, length_s: item.length_s, buffered_s: item.buffered_s, dropped: item.dropped
      });
    }
    return JSON.stringify({ token: token, events: events });
  }

  function ask(method, path, text, done) {
    var request = new XMLHttpRequest();
    busy = true;
    function over(status, answer) { busy = false; done(status, answer); }
    request.open(method, agent + path, true);
    request.timeout = 3000;
    request.onload = function () { over(request.status, request.responseText); };
    request.onerror = request.ontimeout = function () { over(0, ""); };
    if (text) { request.setRequestHeader("Content-Type", "application/json"); }
    request.send(text);
  }

  function failed() {
    token = "";
    gone = !answered; // no agent here, or none that wants to hear of this page
    retryAt = now() + RETRY_MS;
  }

  function introduce() {
    ask("GET", "/beacon/token", null, function (status, answer) {
      var told = /"token":"([\w-]+)"/.exec(answer);
      if (status !== 200 || !told) { failed(); return; }
      token = told[1];
      answered = true;
      send();
    });
  }

  function send() {
    var text, count;
    while (queue.length && now() - queue[0].at > OLD_MS) { queue.shift(); }
    count = queue.length;
    if (gone || busy || !count || now() < retryAt) { return; }
    if (!token) { introduce(); return; }
    text = body();
    sentAt = now();
    ask("POST", "/beacon", text, function (status) {
      if (status === 204) { queue.splice(0, count); if (queue.length) { later(); } return; }
      if (status === 403) { token = ""; retryAt = now() + EVERY_MS; return; } // the agent has begun anew: so do we
      if (status !== 0 && status !== 429) { queue = []; }
      if (status !== 429) { failed(); }
    });
  }

  function later() {
    if (!soon && !gone) { soon = setTimeout(function () { soon = 0; send(); }, 100); }
  }

  function note(element, said, code, at) {
    if (gone) { return; }
    if (element !== current) {
      // One element is told of: the one that began last, unless another still plays.
      if (said !== "loading" && said !== "playing" && said !== "error") { return; }
      if (current && ON[word] && word !== "paused" && !current.paused) { return; }
      word = "";
    }
    if (element === current && said === word) { return; }
    current = element;
    word = said;
    movedAt = now();
    position = element.currentTime;
    push(code, at);
    if (said === "error") { send(); } else { later(); }
  }

  function starved(element) { return !element.paused && !element.ended && !element.seeking && element.readyState < 3; }

  function failure(element) { note(element, "error", element.error ? element.error.code : 4); }

  function sample() {
    if (!current || !ON[word]) {
      if (now() - sentAt >= EVERY_MS) { send(); } // what could not be sent at once
      return;
    }
    if (!document.documentElement.contains(current)) { // nothing more is heard of it
      note(current, "stopped");
      return;
    }
    if (word === "loading" && current.paused && current.readyState === 4 && now() - movedAt >= FROZEN_MS) {
      note(current, "paused"); // it could play, and the browser does not let it
      return;
    }
    if (current.currentTime !== position) {
      position = current.currentTime;
      movedAt = now();
      if (word === "waiting" && !starved(current)) { note(current, "playing"); }
    } else if (word === "playing" && !current.paused && now() - movedAt >= FROZEN_MS) {
      note(current, "waiting", null, movedAt);
    }
    if (now() - sentAt >= EVERY_MS) {
      if (!queue.length) { push(); }
      send();
    }
  }

  var heard = {
    emptied: function (element) { if (element === current && ON[word]) { note(element, "stopped"); } },
    loadstart: function (element) { if (element.autoplay && (element !== current || !ON[word])) { note(element, "loading"); } },
    play: function (element) { if (element !== current || !ON[word]) { note(element, "loading"); } },
    playing: function (element) { note(element, "playing"); },
    waiting: function (element) { if (!element.seeking) { note(element, "waiting"); } },
    stalled: function (element) { if (starved(element)) { note(element, "waiting"); } },
    seeking: function (element) { if (ON[word] && word !== "loading" && !element.paused) { note(element, "seeking"); } },
    pause: function (element) { if (!element.ended && ON[word]) { note(element, "paused"); } },
    ended: function (element) { note(element, "ended"); },
    error: failure,
    timeupdate: sample
  };

  function hear(event) {
    var element = event.target;
    if (element && element.nodeName === "SOURCE" && event.type === "error") {
      element = element.parentNode;
      if (!element || element.networkState !== 3) { return; } // another source may still do
    }
    if (!element || (element.nodeName !== "VIDEO" && element.nodeName !== "AUDIO")) { return; }
    // Whatever goes wrong here is no matter of the page.
    try { heard[event.type](element); } catch (ignored) { gone = true; }
  }

  function leave() {
    if (gone || !token || !current || !ON[word] || !window.fetch) { return; }
    word = "closed";
    push();
    fetch(agent + "/beacon", {
      method: "POST", keepalive: true, credentials: "omit", headers: { "Content-Type": "application/json" }, body: body()
    })["catch"](function () { return null; });
    queue = [];
  }

  function found() {
    var all = document.querySelectorAll("video,audio"), i;
    for (i = 0; i < all.length; i += 1) {
      if (all[i].error) { failure(all[i]); }
      else if (!all[i].paused && !all[i].ended) { note(all[i], all[i].readyState < 3 ? "loading" : "playing"); }
    }
  }

  if (!document.addEventListener || !window.XMLHttpRequest || !window.JSON) { return; }
  // Events of media don't bubble, but they can be caught on their way down, also those of elements to come.
  for (var name in heard) { if (heard.hasOwnProperty(name)) { document.addEventListener(name, hear, true); } }
  window.addEventListener("pagehide", leave);
  setInterval(function () { try { sample(); } catch (ignored) { gone = true; } }, 1000);
  try { found(); } catch (ignored) { gone = true; }
}());
