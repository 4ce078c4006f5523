package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// in opens a tab in a scheme and a language.
func (b *Browser) in(t *testing.T, width int64, scheme, language, url string) *Tab {
	t.Helper()
	return b.Tab(t, width, 900,
		Call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
		Call(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "console test", AcceptLanguage: language}),
		chromedp.Navigate(url))
}

// contrasts measures, in the page, how light answered and failed ones are beside each
// other, in a chart, a legend, badges and notes, and how each differs otherwise.
const contrasts = `(() => {
	const light = (color) => {
		const [r, g, b] = color.match(/[\d.]+/g).map(Number).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
	const style = (el, name) => getComputedStyle(el)[name];
	const box = document.createElement('main');
	document.body.append(box);
	window.measured = Promise.all([import('./chart.js'), import('./outcome.js')]).then(([{ callsChart, callsLegend }, { outcomeBadge }]) => {
		const outcomes = { ok: 3, stale: 3, rejected: 3, canceled: 3 };
		const hour = { calls: 12, outcomes, minutes: [{ start: 0, calls: 12, outcomes }] };
		box.append(callsChart('x', hour), callsLegend(), ...['ok', 'stale', 'rejected', 'canceled'].map(outcomeBadge));
		const [good, warn, bad, plain] = box.querySelectorAll('.badge');
		const bar = (name) => box.querySelector('.bar.' + name);
		const swatch = (name) => box.querySelector('.swatch.' + name);
		const told = {
			bars: contrast(style(bar('answered'), 'fill'), style(bar('failed'), 'fill')),
			swatches: contrast(style(swatch('answered'), 'backgroundColor'), style(swatch('failed'), 'backgroundColor')),
			badges: contrast(style(good, 'backgroundColor'), style(bad, 'backgroundColor')),
			shapes: [...new Set([good, warn, bad, plain].map((e) => e.querySelector('path').getAttribute('d')))].length,
			words: [...new Set([good, warn, bad, plain].map((e) => e.textContent))].length,
			bodies: [...new Set(['answered', 'stale', 'failed', 'caller'].map((name) => [bar(name).nodeName, bar(name).getAttribute('width'), style(bar(name), 'strokeDasharray')].join()))].length,
		};
		box.remove();
		window.told = told;
	});
	return true;
})()`

// Answered and failed can be told apart without their colours: by lightness, 3:1, in
// charts and badges, and by a mark; older answers and what a caller causes by the shape
// of their bars. All used to be a green and a red of the same lightness.
func TestOutcomesWithoutColours(t *testing.T) {
	_, base := start(t)
	browser := Open(t)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			tab := browser.in(t, 1440, scheme, "en", base)
			tab.Wait("Calls in the last hour")
			Eval[bool](tab, contrasts)
			tab.Until("the contrasts", `window.told !== undefined`)
			told := Eval[map[string]float64](tab, `window.told`)
			for _, name := range []string{"bars", "swatches", "badges"} {
				if told[name] < 3 {
					t.Errorf("answered and failed %s: contrast %.2f", name, told[name])
				}
			}
			if told["shapes"] != 4 || told["words"] != 4 || told["bodies"] < 3 {
				t.Errorf("%v", told)
			}
			tab.Clean(base)
		})
	}
}

// A test that failed looks so: in the note, in the result and in the step where it
// ended. It used to be green.
func TestFailedTest(t *testing.T) {
	_, base := start(t, oddAPIs(t))
	browser := Open(t)
	look := func(tab *Tab, selector string) string {
		t.Helper()
		return Eval[string](tab, fmt.Sprintf(`(() => {
			const el = document.querySelector(%q);
			return getComputedStyle(el).backgroundColor + " " + el.querySelector("[data-mark]")?.dataset.mark;
		})()`, selector))
	}
	for scheme, width := range map[string]int64{"light": widths[0], "dark": widths[1]} {
		t.Run(scheme, func(t *testing.T) {
			tab := browser.in(t, width, scheme, "en", base+"#/apis/order")
			tab.Wait("One per line")
			Eval[string](tab, `document.getElementById("test-params").value = "tel=13800138000"`)
			tab.Do(chromedp.Click(chromedp.CSS("#test-no_cache")))
			tab.Click("Test")
			tab.Told("status", "order: answered")
			tab.Wait("Test result")
			note, result := look(tab, ".notes [role=status]"), look(tab, "[data-key=result] .badge")
			if !strings.HasSuffix(note, " good") || !strings.HasSuffix(result, " good") {
				t.Errorf("answered: %s, %s", note, result)
			}
			Eval[bool](tab, `(location.hash = "#/apis/refused", true)`)
			tab.Until("its page", `document.querySelector("h1").textContent === "refused" && document.getElementById("test-params") !== null`)
			tab.Click("Test")
			tab.Told("alert", "refused: rejected by the API")
			tab.Wait("Test result")
			wrong := []string{look(tab, ".notes [role=alert]"), look(tab, "[data-key=result] .badge"), look(tab, `.steps li:has([data-step=verdict]) .badge`)}
			for _, seen := range wrong {
				if !strings.HasSuffix(seen, " bad") || slices.Contains([]string{note, result}, seen) {
					t.Errorf("failed: %s, answered: %s, %s", wrong, note, result)
				}
			}
			tab.Check()
			tab.Clean(base)
		})
	}
}

// In Chinese, so are the outcome, the reason, what to check, the steps and their notes.
// They used to be English.
func TestResultsInChinese(t *testing.T) {
	_, base := start(t, oddAPIs(t))
	tab := Open(t).in(t, 360, "light", "zh", base+"#/apis/refused")
	tab.Wait("每行一个")
	tab.Click("测试")
	tab.Told("alert", "refused：接口拒绝")
	tab.Wait("接口拒绝：状态码 403")
	tab.Wait("账号是否有权使用这个接口")
	steps := Eval[string](tab, `document.querySelector(".steps").innerText`)
	for _, word := range []string{"接收", "请求", "调用", "判断", "约定", "应答", "完成", "缺少的或为 null 的键取默认值", "字节"} {
		if !strings.Contains(steps, word) {
			t.Errorf("no %s in\n%s", word, steps)
		}
	}
	for _, word := range []string{"receive", "verdict", "bytes of", "the API rejected the request", "keys that are missing"} {
		if strings.Contains(tab.Text(), word) {
			t.Errorf("%q in Chinese:\n%s", word, tab.Text())
		}
	}
	tab.Check()
	Eval[bool](tab, `(location.hash = "#/apis/tokenless", true)`)
	tab.Until("its page", `document.querySelector("h1").textContent === "tokenless" && document.getElementById("test-params") !== null`)
	tab.Click("测试")
	tab.Told("alert", "没有可用的令牌")
	tab.Wait("wrong 没有令牌：")
	tab.Wait("令牌源的凭据")
	tab.Clean(base)
}
