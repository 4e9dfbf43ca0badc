#include "report/spots.h"

#include "base/json_text.h"
#include "report/escaping.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace bissl::host {
namespace {

using nlohmann::json;

constexpr double page_width = 760;
constexpr double panel_gap = 12;
constexpr double title_height = 20;
constexpr size_t panels_in_row = 3;
constexpr int units = 1000;  // of a panel's side

/// JSON within an element <script>: nothing in it may end the element.
std::string in_script(const json& value) {
  std::string text;
  for (const char c : json_text(value)) {
    text += c == '<' ? std::string("\\u003c") : std::string(1, c);
  }
  return text;
}

/// Places of a panel's samples in whole units from its top left; one scale for both axes.
std::pair<json, json> places_in(const SpotPanel& panel) {
  double low[2] = {0, 0};
  double high[2] = {0, 0};
  bool first = true;
  for (const Spot& spot : panel.spots) {
    const double place[2] = {spot.x, spot.y};
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = first ? place[axis] : std::min(low[axis], place[axis]);
      high[axis] = first ? place[axis] : std::max(high[axis], place[axis]);
    }
    first = false;
  }
  const double range = std::max({high[0] - low[0], high[1] - low[1], 1e-300});
  const auto unit = [&](double value, int axis) {
    const double share = (value - (low[axis] + high[axis]) / 2) / range;
    return static_cast<int>(std::lround(units * (0.5 + 0.94 * share)));
  };
  json x = json::array();
  json y = json::array();
  for (const Spot& spot : panel.spots) {
    x.push_back(unit(spot.x, 0));
    y.push_back(units - unit(spot.y, 1));
  }
  return {std::move(x), std::move(y)};
}

json names_of(const SpotPanel& panel) {
  json names = json::array();
  for (const Spot& spot : panel.spots) {
    names.push_back(spot.tip);
  }
  return names;
}

json groups_of(const SpotPanel& panel, const std::vector<std::string>& groups) {
  std::map<std::string, size_t> numbers;
  for (size_t i = 0; i < groups.size(); ++i) {
    numbers[groups[i]] = i;
  }
  json found = json::array();
  for (const Spot& spot : panel.spots) {
    const auto number = numbers.find(spot.group);
    found.push_back(number == numbers.end() ? 0 : number->second);
  }
  return found;
}

}  // namespace

std::string spot_canvas(const std::string& title, const std::vector<SpotPanel>& panels,
                        const ThumbnailSheet* sheet, size_t step) {
  std::set<std::string> found;
  for (const SpotPanel& panel : panels) {
    for (const Spot& spot : panel.spots) {
      if (!spot.group.empty()) {
        found.insert(spot.group);
      }
    }
  }
  const std::vector<std::string> groups(found.begin(), found.end());
  const auto columns = static_cast<double>(std::clamp<size_t>(panels.size(), 1, panels_in_row));
  const double side = std::min(360.0, (page_width - panel_gap * (columns - 1)) / columns);
  json data = {{"side", side}, {"labels", groups}, {"step", step}, {"panels", json::array()}};
  if (sheet != nullptr) {
    data["sheet"] = {{"id", sheet->id}, {"columns", sheet->columns}, {"side", sheet->side}};
  }
  double height = 0;
  for (size_t i = 0; i < panels.size(); ++i) {
    const size_t row = i / panels_in_row;
    const double top = static_cast<double>(row) * (side + title_height + panel_gap) + title_height;
    auto [x, y] = places_in(panels[i]);
    json panel = {{"title", panels[i].title},
                  {"left", static_cast<double>(i % panels_in_row) * (side + panel_gap)},
                  {"top", top},
                  {"x", std::move(x)},
                  {"y", std::move(y)}};
    json names = names_of(panels[i]);
    json of_groups = groups_of(panels[i], groups);
    // Panels show the same samples, whose names are as long as all else: they are there once.
    if (i == 0 || names != data["names"] || of_groups != data["groups"]) {
      json& holder = i == 0 ? data : panel;
      holder["names"] = std::move(names);
      holder["groups"] = std::move(of_groups);
    }
    data["panels"].push_back(std::move(panel));
    height = std::max(height, top + side + 2);
  }
  std::string legend;
  for (size_t i = 0; i < groups.size(); ++i) {
    legend +=
        fmt::format("<li><i class=\"s{} m{}\"></i>{}</li>", i % 8, i / 8 % 3, xml_text(groups[i]));
  }
  return fmt::format(
      "<div class=\"plot spots\" tabindex=\"0\" role=\"application\" "
      "aria-roledescription=\"scatter "
      "plot\" aria-label=\"{0}. Arrow keys go from sample to sample, Page Up and Page Down from "
      "network to network.\"><canvas width=\"{1:.0f}\" height=\"{2:.0f}\"></canvas><ul "
      "class=\"legend\">{3}</ul><div class=\"said\" aria-live=\"polite\"></div><script "
      "type=\"application/json\">{4}</script><noscript>The picture needs scripts; its SVG file "
      "beside "
      "this page does not.</noscript></div>\n",
      xml_text(title), page_width, std::max(height, 1.0), legend, in_script(data));
}

std::string sheet_element(const ThumbnailSheet& sheet) {
  return fmt::format("<script type=\"text/plain\" id=\"{}\">{}</script>\n", xml_text(sheet.id),
                     base64_text(sheet.png));
}

std::string spot_style() {
  return R"(.spots{position:relative;max-width:760px}.spots canvas{width:100%;height:auto;display:block}
.spots:focus-visible{outline:2px solid var(--mean);outline-offset:3px}
.legend{list-style:none;margin:.3rem 0;padding:0;display:flex;flex-wrap:wrap;gap:.1rem .9rem;color:var(--soft)}
.legend i{display:inline-block;width:.7rem;height:.7rem;border-radius:50%;margin-right:.35rem;background:var(--c)}
.legend .m1{background:none;box-sizing:border-box;border:2px solid var(--c)}.legend .m2{border-radius:0}
.said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
#tip canvas{display:block;margin-bottom:.25rem}
)";
}

std::string spot_script() {
  return R"js(
const sheets={};
function sheetOf(id){
  if(!sheets[id]){
    const image=new Image();
    image.setAttribute("src","data:image/png;base64,"+document.getElementById(id).textContent);
    sheets[id]={image,ready:image.decode()};
  }
  return sheets[id];
}
function thumbnail(sheet,number){
  const picture=document.createElement("canvas");
  picture.width=picture.height=80;
  const {image,ready}=sheetOf(sheet.id);
  ready.then(()=>{
    const paint=picture.getContext("2d");
    paint.imageSmoothingEnabled=sheet.side>=20;
    paint.drawImage(image,number%sheet.columns*sheet.side,Math.floor(number/sheet.columns)*sheet.side,
      sheet.side,sheet.side,0,0,80,80);
  }).catch(()=>picture.remove());
  return picture;
}
class Spots{
  constructor(box){
    this.box=box;this.canvas=box.querySelector("canvas");this.base=null;this.at=null;
    this.height=this.canvas.height;
    this.canvas.addEventListener("pointermove",event=>this.point(event));
    this.canvas.addEventListener("pointerleave",()=>this.clear());
    box.addEventListener("keydown",event=>this.key(event));
    box.addEventListener("blur",()=>this.clear());
    new IntersectionObserver((entries,watch)=>{
      if(entries.some(entry=>entry.isIntersecting)){watch.disconnect();this.draw()}
    },{rootMargin:"200px"}).observe(box);
  }
  get data(){
    if(!this.parsed){
      this.parsed=JSON.parse(this.box.querySelector("script").textContent);
      for(const panel of this.parsed.panels){
        panel.names??=this.parsed.names;panel.groups??=this.parsed.groups;
      }
    }
    return this.parsed;
  }
  place(panel,i){
    const scale=this.data.side/1000;
    return [panel.left+panel.x[i]*scale,panel.top+panel.y[i]*scale];
  }
  draw(printing=false){
    const {data,canvas}=this,ratio=Math.max(1,window.devicePixelRatio||1),style=getComputedStyle(this.box);
    const value=name=>style.getPropertyValue(name).trim();
    canvas.width=760*ratio;canvas.height=this.height*ratio;
    const paint=canvas.getContext("2d");
    paint.scale(ratio,ratio);
    paint.font="12px system-ui,sans-serif";
    const dots=[];
    for(let mark=0;mark<24;++mark){  // eight colours as dots, rings and squares
      const dot=document.createElement("canvas");
      dot.width=dot.height=Math.ceil(6*ratio);
      const brush=dot.getContext("2d");
      brush.scale(ratio,ratio);brush.globalAlpha=.7;
      brush.fillStyle=brush.strokeStyle=value("--s"+mark%8);
      brush.beginPath();
      if(mark<16)brush.arc(3,3,2,0,7);else brush.rect(1.2,1.2,3.6,3.6);
      if(mark>7&&mark<16)brush.stroke();else brush.fill();
      dots.push(dot);
    }
    for(const panel of data.panels){
      paint.fillStyle=printing?"#1f2328":value("--soft");
      paint.fillText(panel.title,panel.left,panel.top-6,data.side);
      paint.strokeStyle=printing?"#bbb":value("--grid");
      paint.strokeRect(panel.left+.5,panel.top+.5,data.side-1,data.side-1);
      for(let i=0;i<panel.x.length;++i){
        const [x,y]=this.place(panel,i);
        paint.drawImage(dots[panel.groups[i]%24],x-3,y-3,6,6);
      }
    }
    this.base=document.createElement("canvas");
    this.base.width=canvas.width;this.base.height=canvas.height;
    this.base.getContext("2d").drawImage(canvas,0,0);
    this.ink=value("--ink");this.ratio=ratio;
  }
  restore(){
    const paint=this.canvas.getContext("2d");
    paint.setTransform(1,0,0,1,0,0);
    paint.clearRect(0,0,this.canvas.width,this.canvas.height);
    paint.drawImage(this.base,0,0);
    paint.scale(this.ratio,this.ratio);
    return paint;
  }
  clear(){
    if(this.at){this.at=null;this.restore();tip.style.opacity=0}
  }
  words([number,i]){
    const panel=this.data.panels[number],label=this.data.labels[panel.groups[i]];
    return panel.names[i]+(label===undefined?"":"\n"+label);
  }
  show(at){
    if(!this.base)this.draw();
    this.at=at;
    const paint=this.restore(),{data}=this;
    paint.strokeStyle=this.ink;paint.lineWidth=2;
    for(const panel of data.panels){
      if(at[1]<panel.x.length){
        const [x,y]=this.place(panel,at[1]);
        paint.beginPath();paint.arc(x,y,5.5,0,7);paint.stroke();
      }
    }
    tip.textContent=this.words(at);
    if(data.sheet)tip.prepend(thumbnail(data.sheet,at[1]*data.step));
    const box=this.canvas.getBoundingClientRect(),[x,y]=this.place(data.panels[at[0]],at[1]);
    tip.style.opacity=1;
    const size=tip.getBoundingClientRect(),scale=box.width/760;
    tip.style.left=Math.max(4,Math.min(box.left+x*scale+12,innerWidth-size.width-8))+"px";
    tip.style.top=Math.max(4,Math.min(box.top+y*scale+12,innerHeight-size.height-8))+"px";
  }
  point(event){
    const box=this.canvas.getBoundingClientRect(),scale=760/box.width;
    const x=(event.clientX-box.left)*scale,y=(event.clientY-box.top)*scale,{side}=this.data;
    let best=144,found=null;
    this.data.panels.forEach((panel,number)=>{
      if(x<panel.left-9||x>panel.left+side+9||y<panel.top-9||y>panel.top+side+9)return;
      for(let i=0;i<panel.x.length;++i){
        const [px,py]=this.place(panel,i),far=(px-x)**2+(py-y)**2;
        if(far<best){best=far;found=[number,i]}
      }
    });
    if(!found)this.clear();
    else if(!this.at||found[0]!==this.at[0]||found[1]!==this.at[1])this.show(found);
  }
  key(event){
    const ways={ArrowRight:[1,0],ArrowLeft:[-1,0],ArrowDown:[0,1],ArrowUp:[0,-1]},{data}=this;
    const turn={PageDown:1,PageUp:-1}[event.key],way=ways[event.key];
    if(event.key==="Escape"){this.clear();return}
    if(!way&&!turn||!data.panels.some(panel=>panel.x.length))return;
    event.preventDefault();
    let [number,i]=this.at??[data.panels.findIndex(panel=>panel.x.length),0];
    if(this.at&&turn){
      number=(number+turn+data.panels.length)%data.panels.length;
      if(i>=data.panels[number].x.length)return;
    }else if(this.at){
      const panel=data.panels[number];
      let best=Infinity,next=i;
      for(let k=0;k<panel.x.length;++k){
        const dx=panel.x[k]-panel.x[i],dy=panel.y[k]-panel.y[i];
        const along=dx*way[0]+dy*way[1],across=Math.abs(dx*way[1])+Math.abs(dy*way[0]);
        if(along>0&&across<=along&&along+2*across<best){best=along+2*across;next=k}
      }
      i=next;
    }
    this.show([number,i]);
    this.box.querySelector(".said").textContent=data.panels[number].title+": "+this.words([number,i]);
  }
}
const spots=[...document.querySelectorAll(".spots")].map(box=>new Spots(box));
matchMedia("(prefers-color-scheme:dark)").addEventListener("change",()=>{
  for(const one of spots)if(one.base)one.draw();
});
addEventListener("beforeprint",()=>{for(const one of spots)one.draw(true)});
addEventListener("afterprint",()=>{for(const one of spots)one.draw()});
)js";
}

}  // namespace bissl::host
