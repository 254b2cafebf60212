"use strict";
(function () {
  var list = document.getElementById("cases");
  var order = document.getElementById("order");
  var bestFirst = document.getElementById("bestfirst");
  var method = document.getElementById("method");
  var cases = Array.prototype.slice.call(document.querySelectorAll(".case"));

  function value(one) {
    var number = JSON.parse(one.dataset.values)[order.value];
    return number === null || number === undefined ? NaN : number;
  }

  function arrange() {
    var option = order.selectedOptions[0];
    if (!option) return;
    var sign = (option.dataset.higher === "true" ? 1 : -1) * (bestFirst.checked ? -1 : 1);
    cases.sort(function (one, other) {
      var a = value(one), b = value(other);
      return isNaN(a) ? 1 : isNaN(b) ? -1 : sign * (a - b);
    });
    cases.forEach(function (one) {
      one.hidden = method.value !== "" && one.dataset.method !== method.value;
      list.appendChild(one);
    });
  }

  // Nothing is loaded before it comes near the screen.
  var near = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (!entry.isIntersecting) return;
      entry.target.querySelectorAll("[data-src]").forEach(function (media) {
        media.src = media.dataset.src;
        if (media.tagName === "VIDEO") media.preload = "metadata";
        media.removeAttribute("data-src");
      });
      near.unobserve(entry.target);
    });
  }, { rootMargin: "300px" });
  cases.forEach(function (one) { near.observe(one); });

  function videos(one) { return Array.prototype.slice.call(one.querySelectorAll("video")); }

  function play(one, button) {
    var all = videos(one);
    if (!all.length) return;
    var playing = all.some(function (video) { return !video.paused; });
    if (playing) {
      all.forEach(function (video) { video.pause(); });
      button.textContent = "play in step";
      return;
    }
    all.forEach(function (video) { video.currentTime = 0; });
    Promise.all(all.map(function (video) { return video.play(); })).catch(function () {});
    button.textContent = "pause";
    all[0].onended = function () { button.textContent = "play in step"; };
    all[0].ontimeupdate = function () {
      all.slice(1).forEach(function (video) {
        if (Math.abs(video.currentTime - all[0].currentTime) > 0.08) video.currentTime = all[0].currentTime;
      });
    };
  }

  function difference(one) {
    var all = videos(one), figure = one.querySelector(".difference");
    if (all.length < 2 || !figure) return;
    var canvas = figure.querySelector("canvas"), side = 256;
    figure.hidden = false;
    canvas.width = canvas.height = side;
    var pen = canvas.getContext("2d");
    pen.globalCompositeOperation = "source-over";
    pen.drawImage(all[0], 0, 0, side, side);
    pen.globalCompositeOperation = "difference";
    pen.drawImage(all[1], 0, 0, side, side);
  }

  list.addEventListener("click", function (event) {
    var one = event.target.closest(".case");
    if (event.target.classList.contains("play")) play(one, event.target);
    if (event.target.classList.contains("map")) difference(one);
  });
  [order, bestFirst, method].forEach(function (control) { control.addEventListener("change", arrange); });
  arrange();
})();
