"use strict";
(function () {
  var study = JSON.parse(document.getElementById("content").textContent);
  var place = document.getElementById("place"), progress = document.getElementById("progress");
  var about = document.getElementById("about"), save = document.getElementById("save");
  var sides = [document.getElementById("left"), document.getElementById("right")];
  var buttons = [document.getElementById("choose-left"), document.getElementById("choose-right")];
  var store = "study-" + study.study, state, shown, plays, ready = false;

  function random(below) {
    var limit = Math.floor(4294967296 / below) * below, word = new Uint32Array(1);
    do { crypto.getRandomValues(word); } while (word[0] >= limit);
    return word[0] % below;
  }

  function shuffled(list) {
    for (var at = list.length - 1; at > 0; at--) {
      var other = random(at + 1), kept = list[at];
      list[at] = list[other];
      list[other] = kept;
    }
    return list;
  }

  function fresh() {
    var participant = "";
    for (var n = 0; n < 16; n++) participant += random(16).toString(16);
    return {
      format: "avatarkit-study-answers", version: 1, study: study.study, participant: participant,
      order: shuffled(study.items.map(function (_, index) { return [index, random(2)]; })),
      started: new Date().toISOString(), finished: null, answers: []
    };
  }

  // A browser that keeps nothing for pages opened from files still runs the study in one go.
  function remember() { try { localStorage.setItem(store, JSON.stringify(state)); } catch (error) { return; } }

  function recall() {
    try {
      var kept = JSON.parse(localStorage.getItem(store));
      return kept && kept.study === study.study && kept.order.length === study.items.length ? kept : null;
    } catch (error) { return null; }
  }

  function show(name) {
    ["start", "ask", "end"].forEach(function (part) { document.getElementById(part).hidden = part !== name; });
  }

  function media(file) {
    var still = /\.(png|jpe?g|webp)$/i.test(file), element = document.createElement(still ? "img" : "video");
    if (still) element.alt = "to compare with";
    else { element.muted = true; element.loop = true; element.playsInline = true; }
    element.src = file;
    return element;
  }

  function all() { return Array.prototype.slice.call(document.querySelectorAll("#ask video")); }

  function replay() {
    plays += 1;
    all().forEach(function (video) { video.currentTime = 0; });
    all().forEach(function (video) { video.play().catch(function () {}); });
  }

  function current() { return study.items[state.order[state.answers.length][0]]; }

  function next() {
    var done = state.answers.length;
    if (done === study.items.length) return finish();
    show("ask");
    var item = current(), turned = state.order[done][1];
    place.textContent = (done + 1) + " of " + study.items.length;
    progress.value = done / study.items.length;
    document.getElementById("question").textContent = study.questions[item.question];
    about.replaceChildren(media(item.about));
    ready = false;
    buttons.forEach(function (button) { button.disabled = true; });
    var waiting = 2;
    sides.forEach(function (video, side) {
      video.onloadeddata = video.onerror = function () {
        video.onloadeddata = video.onerror = null;
        if (--waiting) return;
        ready = true;
        shown = performance.now();
        plays = 0;
        buttons.forEach(function (button) { button.disabled = false; });
        replay();
      };
      video.src = side === turned ? item.a : item.b;
    });
  }

  function choose(side) {
    if (!ready) return;
    ready = false;
    var turned = state.order[state.answers.length][1];
    state.answers.push({
      item: current().name, left: turned === 0 ? "a" : "b", choice: side === turned ? "a" : "b",
      seconds: Math.round((performance.now() - shown) / 10) / 100, plays: plays,
      length: isFinite(sides[0].duration) ? Math.round(sides[0].duration * 100) / 100 : null
    });
    remember();
    next();
  }

  function finish() {
    if (!state.finished) state.finished = new Date().toISOString();
    remember();
    show("end");
    var kept = Object.assign({}, state);
    delete kept.order;
    save.href = URL.createObjectURL(new Blob([JSON.stringify(kept, null, 1)], { type: "application/json" }));
    save.download = "answers-" + state.participant.slice(0, 8) + ".json";
    save.focus();
  }

  buttons.forEach(function (button, side) { button.onclick = function () { choose(side); }; });
  document.getElementById("again").onclick = replay;
  document.getElementById("begin").onclick = next;
  document.addEventListener("keydown", function (event) {
    if (document.getElementById("ask").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "1" || event.key === "ArrowLeft") choose(0);
    else if (event.key === "2" || event.key === "ArrowRight") choose(1);
    else if (event.key === " ") { event.preventDefault(); replay(); }
  });

  state = recall() || fresh();
  document.getElementById("count").textContent = study.items.length - state.answers.length;
  document.getElementById("minutes").textContent = Math.max(1, Math.round((study.items.length - state.answers.length) / 4));
  if (state.answers.length === study.items.length) finish();
}());
